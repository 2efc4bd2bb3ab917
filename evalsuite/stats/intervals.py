"""Standard errors and 95 % intervals of scores.

Public names: `Estimate`, `mean_estimate`, `macro_estimate`, `weighted_estimate`, `verdicts_tail`.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from evalsuite.stats.clusters import clustered_tail, clusters_of
from evalsuite.stats.stderr import MeanError, cluster_totals, mean_error

CONFIDENCE = 0.95
Z = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""
_PRIOR_EVENTS = 0.5
_PLAIN_CORRELATION = 0.2
"""Assumed correlation of documents in a cluster, before any data."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score with its standard error and interval."""

    value: float
    stderr: float | None
    """None if a single value gives no estimate of spread."""
    low: float | None
    high: float | None
    n: int
    clusters: int | None = None
    """Number of groups of documents with a common source, if these are the sampled unit."""


def mean_estimate(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    weights: Sequence[float] | None = None,
) -> Estimate:
    """Mean with its standard error; values that share a cluster are not independent (`mean_error`).

    With weights (the bytes of texts), it is the weighted mean, and its interval Student's t.

    If every value is 0 or 1, the interval is Wilson's, which stays inside [0, 1] and keeps its level near the
    ends (Brown, Cai and DasGupta 2001), or with clusters that of the score test which integrates out their
    correlation (`stats/clusters.py`). For shares (values inside [0, 1]: repeated samples, pass@k) it is
    Wilson's at the effective number of documents (`_of_shares`). For other values it is the normal interval,
    or with clusters Student's t.
    """
    error = mean_error(values, clusters=clusters, weights=weights)
    n, groups = len(values), None if clusters is None else error.units
    if error.stderr is None:
        return Estimate(error.value, None, None, None, n, groups)
    if weights is not None:
        return Estimate(error.value, error.stderr, *_student(error), n, groups)
    shares = all(0 <= value <= 1 for value in values)
    if shares and all(value in (0, 1) for value in values):
        low, high = _of_verdicts(values, clusters, error)
    elif shares:
        low, high = _of_shares(values, clusters, error)
    else:
        low, high = _student(error) if clusters is not None else _around(error, Z)
    return Estimate(error.value, error.stderr, low, high, n, groups)


def macro_estimate(
    groups: Mapping[str, Sequence[float]],
    clusters: Mapping[str, Sequence[Hashable]] | None = None,
    weights: Mapping[str, Sequence[float]] | None = None,
) -> Estimate:
    """Unweighted mean of the groups' means; groups are independent samples, so that their variances add."""
    if weights is not None:
        return _weighted_strata(groups, clusters, weights)
    estimates = [
        mean_estimate(values, clusters[name] if clusters is not None else None)
        for name, values in groups.items()
    ]
    return weighted_estimate(estimates)


def _weighted_strata(
    groups: Mapping[str, Sequence[float]],
    clusters: Mapping[str, Sequence[Hashable]] | None,
    weights: Mapping[str, Sequence[float]],
) -> Estimate:
    """The unweighted mean of weighted means; Student's t, since a domain may have only a few texts."""
    strata = [name for name, values in groups.items() for _ in values]
    error = mean_error(
        list(chain.from_iterable(groups.values())),
        strata=strata,
        clusters=None if clusters is None else list(chain.from_iterable(clusters.values())),
        weights=list(chain.from_iterable(weights.values())),
    )
    low, high = (None, None) if error.stderr is None else _student(error)
    units = None if clusters is None else error.units
    return Estimate(error.value, error.stderr, low, high, len(strata), units)


def weighted_estimate(estimates: Sequence[Estimate], weights: Sequence[float] | None = None) -> Estimate:
    """Average of independent scores, with the normal interval of its error.

    Args:
        estimates: one estimate per task or member task.
        weights: weights of any positive scale. None gives equal weights (macro); numbers of documents give
            the mean over all documents (micro).
    """
    scale = [1.0] * len(estimates) if weights is None else list(weights)
    shares = [weight / math.fsum(scale) for weight in scale]
    value = math.fsum(share * part.value for share, part in zip(shares, estimates, strict=True))
    n = sum(part.n for part in estimates)
    counted = [part.clusters for part in estimates if part.clusters is not None]
    clusters = sum(counted) if counted else None
    errors = [part.stderr for part in estimates if part.stderr is not None]
    if len(errors) < len(estimates):
        return Estimate(value, None, None, None, n, clusters)
    if len(estimates) == 1:
        return estimates[0]
    stderr = math.sqrt(math.fsum((share * error) ** 2 for share, error in zip(shares, errors, strict=True)))
    return Estimate(value, stderr, value - Z * stderr, value + Z * stderr, n, clusters)


def _of_verdicts(
    values: Sequence[float], clusters: Sequence[Hashable] | None, error: MeanError
) -> tuple[float, float]:
    if clusters is None:
        return _wilson(math.fsum(values), len(values))
    from scipy.optimize import brentq

    value, edge = error.value, 1e-9 / len(values)
    tail = verdicts_tail(values, clusters, error)

    def beyond(truth: float) -> float:
        return tail(truth) - (1 - CONFIDENCE) / 2

    inner = min(max(value, edge), 1 - edge)
    low = brentq(beyond, edge, inner, xtol=1e-9) if value else 0.0
    high = brentq(beyond, inner, 1 - edge, xtol=1e-9) if value < 1 else 1.0
    return float(low), float(high)


def verdicts_tail(
    values: Sequence[float], clusters: Sequence[Hashable], error: MeanError | None = None
) -> Callable[[float], float]:
    """A function of the true score: the probability that the score of clustered 0/1 verdicts deviates as far.

    The 95 % interval of `mean_estimate` contains the true scores at which it is 0.025 or more.
    """
    import numpy as np

    x = np.asarray(values, float)
    error = error or mean_error(x, clusters=clusters)
    value, n, alike = error.value, len(x), clusters_of(x, clusters)
    observed = n * (error.stderr or 0.0) ** 2 / (value * (1 - value)) if 0 < value < 1 else None

    def tail(truth: float) -> float:
        variance = n * truth * (1 - truth)
        score = n * abs(value - truth) / math.sqrt(variance)
        return clustered_tail(score, *alike.design_effects(truth), observed, variance)

    return tail


def _of_shares(
    values: Sequence[float], clusters: Sequence[Hashable] | None, error: MeanError
) -> tuple[float, float]:
    """Wilson's interval at the effective number of documents, with Student's quantile.

    This follows Franco, Little, Louis and Slud 2019 (Journal of Survey Statistics and Methodology 7:334). The
    effective number is n over the design effect: the variance of the mean over that of as many 0/1 verdicts
    with the same mean. If only a few documents differ from 0 or 1, the design effect is estimated from these
    few, and near saturation the sample often contains none of them. Therefore half an event (Jeffreys's share
    of a 0/1 verdict) is added with the design effect of plain verdicts: 1, plus 0.2 (size - 1) for clusters
    of that size. The quantile has the degrees of freedom of the design effect's logarithm, by its influence
    function.
    """
    import numpy as np
    from scipy.stats import t

    x, n, value = np.asarray(values, float), len(values), error.value
    labels: Sequence[Hashable] = range(n) if clusters is None else clusters
    totals, sizes = cluster_totals(x - value, labels)
    size = float((sizes**2).sum()) / n
    plain = 1.0 if clusters is None else 1 + (size - 1) * _PLAIN_CORRELATION
    events = n * value * (1 - value)
    assert error.stderr is not None
    seen = n**2 * error.stderr**2
    effect = (seen + _PRIOR_EVENTS * plain) / (events + _PRIOR_EVENTS)
    dof = error.dof
    if seen and events:
        influence = totals**2 / (totals**2).sum() - 1 / len(totals) - (1 - 2 * value) * totals / events
        trust = seen / (seen + _PRIOR_EVENTS * plain)
        dof = min(dof, 2 / max(float((influence**2).sum()) * trust**2, 1e-12))
    effective = n / effect * (Z / float(t.ppf((1 + CONFIDENCE) / 2, dof))) ** 2
    return _wilson(value * effective, effective)


def _student(error: MeanError) -> tuple[float, float]:
    from scipy.stats import t

    return _around(error, float(t.ppf((1 + CONFIDENCE) / 2, error.dof)))


def _around(error: MeanError, quantile: float) -> tuple[float, float]:
    half = quantile * (error.stderr or 0.0)
    return error.value - half, error.value + half


def _wilson(successes: float, n: float) -> tuple[float, float]:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, n, alpha=1 - CONFIDENCE, method="wilson")
    return max(0.0, float(low)), min(1.0, float(high))
