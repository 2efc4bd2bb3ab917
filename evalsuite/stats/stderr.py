"""Standard error of a mean over documents with optional strata and clusters.

Public names: `MeanError`, `mean_error`, `cluster_totals`, `effective_units`.

A *cluster* is a group of documents that share a source (a passage, a template), so that their verdicts are
correlated; clusters are then the sampled unit. A *stratum* is a member task: the value is the unweighted mean
of the strata's means ("macro").
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class MeanError:
    """A mean and its standard error, in the unit of the values."""

    value: float
    stderr: float | None
    """None if a stratum has a single unit, which gives no estimate of spread."""
    dof: float
    """Degrees of freedom of the standard error."""
    units: int
    """Number of independent units: clusters, or documents."""


def mean_error(
    values: "Sequence[float] | np.ndarray",
    *,
    strata: Sequence[Hashable] | None = None,
    clusters: Sequence[Hashable] | None = None,
    weights: "Sequence[float] | np.ndarray | None" = None,
) -> MeanError:
    """Mean over documents, or unweighted mean over strata, with the standard error of its sampling design.

    Without clusters: sample standard deviation over the root of n (Miller 2024, arXiv:2411.00640, eq. 1).
    With clusters: the cluster-robust error of that mean (Miller 2024, eq. 4) in its bias-reduced form CR2
    with Bell-McCaffrey degrees of freedom, which keeps its level with few or unequal clusters, unlike the
    plain form (Bell and McCaffrey 2002; Imbens and Kolesar 2016, Review of Economics and Statistics 98:701).
    Strata are independent samples: variances add, degrees of freedom follow Welch and Satterthwaite.
    With weights (the bytes of texts) the mean is a ratio of sums, and a document, or else its cluster, counts
    as a cluster of so many units: the error is the delta method's, with the same corrections.
    """
    import numpy as np

    x = np.asarray(values, dtype=float)
    sizes = None if weights is None else np.asarray(weights, dtype=float)
    if not len(x):
        raise ValueError("no values")
    parts = []
    for places in _groups(strata, len(x)):
        labels = clusters if clusters is None or strata is None else [clusters[place] for place in places]
        parts.append(_one_stratum(x[places], labels, None if sizes is None else sizes[places]))
    count = len(parts)
    value = math.fsum(part.value for part in parts) / count
    units = sum(part.units for part in parts)
    variances = [part.stderr**2 / count**2 for part in parts if part.stderr is not None]
    if len(variances) < count:
        return MeanError(value, None, 0.0, units)
    total = math.fsum(variances)
    spread = math.fsum(v * v / part.dof for v, part in zip(variances, parts, strict=True))
    dof = total * total / spread if spread else math.fsum(part.dof for part in parts)
    return MeanError(value, math.sqrt(total), dof, units)


def effective_units(weights: "Sequence[float] | np.ndarray") -> float:
    """Number of equally weighted documents whose mean is as precise (Kish): (sum w)^2 / sum w^2."""
    import numpy as np

    sizes = np.asarray(weights, float)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def cluster_totals(values: "np.ndarray", labels: Sequence[Hashable]) -> "tuple[np.ndarray, np.ndarray]":
    """Sum of the values and number of documents of each cluster, in order of first appearance."""
    import numpy as np

    codes = {label: code for code, label in enumerate(dict.fromkeys(labels))}
    place = np.fromiter(map(codes.__getitem__, labels), int, len(labels))
    return np.bincount(place, weights=values), np.bincount(place)


def _groups(labels: Sequence[Hashable] | None, n: int) -> "list[np.ndarray]":
    """Indices of each group, in order of first appearance."""
    import numpy as np

    if labels is None:
        return [np.arange(n)]
    groups: dict[Hashable, list[int]] = {}
    for place, label in enumerate(labels):
        groups.setdefault(label, []).append(place)
    return [np.array(places) for places in groups.values()]


def _one_stratum(
    x: "np.ndarray", clusters: Sequence[Hashable] | None, weights: "np.ndarray | None"
) -> MeanError:
    n = len(x)
    mean = math.fsum(x) / n if weights is None else math.fsum(x * weights) / math.fsum(weights)
    if clusters is None and weights is None:
        stderr = math.sqrt(math.fsum((x - mean) ** 2) / (n - 1) / n) if n > 1 else None
        return MeanError(mean, stderr, n - 1.0, n)
    labels = range(n) if clusters is None else clusters
    totals, sizes = cluster_totals(x - mean, labels)
    if weights is not None:
        totals, sizes = cluster_totals((x - mean) * weights, labels)[0], cluster_totals(weights, labels)[0]
    if len(sizes) == 1:
        return MeanError(mean, None, 0.0, 1)
    share, residual = sizes / sizes.sum(), totals / sizes.sum()
    variance = float((residual**2 / (1 - share)).sum())
    # Bell and McCaffrey's (tr B)^2 / tr(B^2) for a mean, documents independent under the working model.
    ratio = share**2 / (1 - share)
    dof = 1 / float((share**2).sum() + ratio.sum() ** 2 - (ratio**2).sum())
    if variance:
        dof = min(dof, _dof_of_skewed_totals(residual))
    return MeanError(mean, math.sqrt(variance), dof, len(sizes))


def _dof_of_skewed_totals(totals: "np.ndarray") -> float:
    """2 G / (kurtosis - 1): degrees of freedom of a variance estimated from G totals.

    This number follows from the variance of a variance estimate, sigma^4 (kurtosis - 1) / G (Welch and
    Satterthwaite's matching of moments). If a few clusters have nearly all the differences (rare verdicts),
    the error is more uncertain than the number of clusters suggests; without this correction the interval is
    too short.
    """
    count = len(totals)
    totals = totals / abs(totals).max()  # the ratio is the same, and no tiny total's square is rounded to 0
    kurtosis = count * float((totals**4).sum()) / float((totals**2).sum()) ** 2
    return 2 * count / max(kurtosis - 1, 1e-9)
