"""Percentile and bias-corrected bootstrap intervals, for statistics without a formula.

Public names: `bootstrap_interval`.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from evalsuite.stats.intervals import CONFIDENCE

if TYPE_CHECKING:
    import numpy as np

_MOST_FOR_BCA = 3_000
"""Largest n for BCa: above it the acceleration needs n^2 work and changes nothing visible."""
_CELLS = 4_000_000
"""Number of resampled values in memory at the same time."""


def bootstrap_interval(
    values: "Sequence[float] | np.ndarray",
    *,
    clusters: Sequence[Hashable] | None = None,
    statistic: "Callable[..., np.ndarray] | None" = None,
    confidence: float = CONFIDENCE,
    resamples: int = 9_999,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of a statistic of independent values, by `scipy.stats.bootstrap` (Efron and Tibshirani 1993).

    Bias-corrected and accelerated up to 3,000 units, percentile above.

    Args:
        values: one value per document.
        clusters: source of each document; if given, whole clusters are drawn, for the mean over documents.
        statistic: `statistic(values, axis)` in place of the mean; not with clusters.
        confidence: two-sided level.
        resamples: number of resamples.
        seed: seed of the random stream; equal input gives an equal result.
    """
    import numpy as np
    from scipy.stats import bootstrap

    x = np.asarray(values, float)
    if x.size and (x == x[0]).all():
        return float(x[0]), float(x[0])
    data: tuple[np.ndarray, ...] = (x,)
    taken = statistic or np.mean
    if clusters is not None:
        if statistic is not None:
            raise ValueError("clusters support only the mean")
        _, codes = np.unique(np.asarray([str(label) for label in clusters]), return_inverse=True)
        data = (np.bincount(codes, weights=x), np.bincount(codes).astype(float))
        taken = _ratio
    units = len(data[0])
    found = bootstrap(
        data,
        taken,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, _CELLS // units),
        confidence_level=confidence,
        method="BCa" if units <= _MOST_FOR_BCA else "percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _ratio(totals: "np.ndarray", sizes: "np.ndarray", axis: int) -> "np.ndarray":
    ratio: np.ndarray = totals.sum(axis) / sizes.sum(axis)
    return ratio
