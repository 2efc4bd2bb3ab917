"""Standard errors and 95 % intervals of scores.

Public names: `Estimate`, `mean_estimate`, `macro_estimate`, `weighted_estimate`.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from evalsuite.stats.stderr import MeanError, mean_error

CONFIDENCE = 0.95
Z = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score and how sure it is."""

    value: float
    stderr: float | None
    """None where one value gives no estimate of spread."""
    low: float | None
    high: float | None
    n: int
    clusters: int | None = None
    """Groups of documents that share a source, where these are the sampled unit."""


def mean_estimate(values: Sequence[float], clusters: Sequence[Hashable] | None = None) -> Estimate:
    """Mean with its standard error; values that share a cluster are not independent (`mean_error`).

    The interval is Wilson's where every value is 0 or 1 (it stays inside [0, 1] and holds its level
    near the ends: Brown, Cai and DasGupta 2001). Of shares (values inside [0, 1]: repeated samples, pass@k), and
    with clusters, it is Wilson's at the effective number of documents, that with which a proportion would have
    the same standard error, with Student's quantile (Franco, Little, Louis and Slud 2019, Journal of Survey Statistics and Methodology
    7:334). Of other values it is the normal approximation, with clusters Student's t.
    """
    error = mean_error(values, clusters=clusters)
    n, shares = len(values), all(0 <= value <= 1 for value in values)
    binary = shares and all(value in (0, 1) for value in values)
    if error.stderr is None:
        return Estimate(error.value, None, None, None, n, None if clusters is None else error.units)
    if clusters is not None:
        low, high = _interval(error, n if binary else math.inf, shares)
        return Estimate(error.value, error.stderr, low, high, n, error.units)
    if binary:
        low, high = _wilson(math.fsum(values), n)
    elif shares:
        # Each document as its own cluster: the degrees of freedom see that a few may hold all that differs.
        low, high = _interval(mean_error(values, clusters=range(n)), math.inf, shares)
    else:
        low, high = error.value - Z * error.stderr, error.value + Z * error.stderr
    return Estimate(error.value, error.stderr, low, high, n)


def macro_estimate(
    groups: Mapping[str, Sequence[float]], clusters: Mapping[str, Sequence[Hashable]] | None = None
) -> Estimate:
    """Plain mean of the groups' means; groups are independent samples, so their variances add."""
    estimates = [
        mean_estimate(values, clusters[name] if clusters is not None else None)
        for name, values in groups.items()
    ]
    return weighted_estimate(estimates)


def weighted_estimate(estimates: Sequence[Estimate], weights: Sequence[float] | None = None) -> Estimate:
    """Average of independent scores, with the normal interval of its error.

    Args:
        estimates: one for each task or member task.
        weights: any positive scale. None weighs the scores alike (macro); their numbers of documents give
            the mean over all documents (micro).
    """
    scale = [1.0] * len(estimates) if weights is None else list(weights)
    shares = [weight / math.fsum(scale) for weight in scale]
    value = math.fsum(share * one.value for share, one in zip(shares, estimates, strict=True))
    n = sum(one.n for one in estimates)
    counted = [one.clusters for one in estimates if one.clusters is not None]
    clusters = sum(counted) if counted else None
    errors = [one.stderr for one in estimates if one.stderr is not None]
    if len(errors) < len(estimates):
        return Estimate(value, None, None, None, n, clusters)
    if len(estimates) == 1:
        return estimates[0]
    stderr = math.sqrt(math.fsum((share * error) ** 2 for share, error in zip(shares, errors, strict=True)))
    return Estimate(value, stderr, value - Z * stderr, value + Z * stderr, n, clusters)


def _interval(error: MeanError, most: float, shares: bool) -> tuple[float, float]:
    """`most`: clusters never make 0/1 verdicts worth more than as many independent documents."""
    from scipy.stats import t

    stderr = error.stderr or 0.0
    quantile = float(t.ppf((1 + CONFIDENCE) / 2, error.dof))
    if not shares or (not stderr and 0 < error.value < 1):
        return error.value - quantile * stderr, error.value + quantile * stderr
    # All right or all wrong: nothing tells how alike a cluster's documents are; count each cluster once.
    effective = min(most, error.value * (1 - error.value) / stderr**2) if stderr else error.units
    effective *= (Z / quantile) ** 2
    return _wilson(error.value * effective, effective)


def _wilson(successes: float, n: float) -> tuple[float, float]:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, n, alpha=1 - CONFIDENCE, method="wilson")
    return max(0.0, float(low)), min(1.0, float(high))
