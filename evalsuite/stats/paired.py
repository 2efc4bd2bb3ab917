"""Two runs on the same documents: is the difference real, and how big is it?

Public names: `Paired`, `paired_estimate`, `mcnemar_exact`, `sign_flip`, `tango_interval`.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evalsuite.stats.bootstrap import bootstrap_interval
from evalsuite.stats.intervals import CONFIDENCE
from evalsuite.stats.stderr import MeanError, mean_error

if TYPE_CHECKING:
    import numpy as np

Test = Literal["mcnemar", "sign_flip"]
IntervalMethod = Literal["tango", "bootstrap", "t", "none"]


@dataclass(frozen=True, slots=True)
class Paired:
    """Candidate minus baseline on common documents, in the unit of the metric."""

    baseline: float
    candidate: float
    delta: float
    stderr: float | None
    low: float | None
    high: float | None
    interval: IntervalMethod
    """Where the interval comes from; none where a single unit tells nothing of spread."""
    test: Test
    p: float
    """Two-sided, of no difference."""
    discordance: float
    """Mean squared difference of a document; the share of documents with another verdict where these are 0/1."""
    design_effect: float
    """Variance of the delta over that of as many independent, equally weighted documents."""
    binary: bool
    """Every value of both runs is 0 or 1."""
    n: int

    @property
    def effective_n(self) -> float:
        """Independent documents that would tell as much."""
        return self.n / self.design_effect


def paired_estimate(
    baseline: Sequence[float],
    candidate: Sequence[float],
    *,
    strata: Sequence[Hashable] | None = None,
    clusters: Sequence[Hashable] | None = None,
    confidence: float = CONFIDENCE,
    resamples: int = 9_999,
    seed: int = 0,
) -> Paired:
    """Delta of two runs with its paired interval and a test of no difference.

    0/1 verdicts: Tango's score interval, McNemar's exact test. Otherwise a bootstrap interval over documents
    and a sign-flip permutation test. Strata (macro average) and clusters go into both: the score interval is
    taken at the effective number of documents, the permutation flips whole clusters.

    Args:
        baseline: value of each common document.
        candidate: the same documents, in the same order.
        strata: member task of each document where the score is the plain mean of member tasks.
        clusters: source of each document where documents share one.
        confidence: level of the two-sided interval.
        resamples: of bootstrap and permutation.
        seed: of their random stream; equal input, equal result.
    """
    import numpy as np

    first, second = np.asarray(baseline, float), np.asarray(candidate, float)
    if len(first) != len(second):
        raise ValueError("the runs have different numbers of values")
    differences = second - first
    error = mean_error(differences, strata=strata, clusters=clusters)
    binary = bool(np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all())
    weights = document_weights(strata, len(differences))
    simple = strata is None and clusters is None
    design_effect = 1.0 if simple else design_effect_of(differences, error)
    low, high, method = _interval(
        differences, weights, error, design_effect, binary, simple, confidence, resamples, seed
    )
    if binary and simple:
        test: Test = "mcnemar"
        p = mcnemar_exact(int((differences < 0).sum()), int((differences > 0).sum()))
    else:
        test, p = "sign_flip", sign_flip(_totals(differences * weights, clusters), resamples, seed)
    return Paired(
        baseline=math.fsum(first * weights),
        candidate=math.fsum(second * weights),
        delta=error.value,
        stderr=error.stderr,
        low=low,
        high=high,
        interval=method,
        test=test,
        p=p,
        discordance=float((differences**2 * weights).sum()),
        design_effect=design_effect,
        binary=binary,
        n=len(differences),
    )


def mcnemar_exact(lost: int, gained: int) -> float:
    """Two-sided exact p that losses and gains are equally likely (McNemar 1947); 1 where there are none."""
    from scipy.stats import binomtest

    flips = lost + gained
    return float(binomtest(lost, flips, 0.5).pvalue) if flips else 1.0


def sign_flip(contributions: "Sequence[float] | np.ndarray", resamples: int = 9_999, seed: int = 0) -> float:
    """Two-sided p that the sum of contributions is as far from 0 as it is when their signs are arbitrary.

    A permutation test that swaps the runs' labels unit by unit; contributions of equal size share one binomial
    draw. The observed labelling counts as one of the permutations (Phipson and Smyth 2010).
    """
    import numpy as np

    sizes, counts = np.unique(np.abs(np.asarray(contributions, float)), return_counts=True)
    counts, sizes = counts[sizes > 0], sizes[sizes > 0]
    if not len(sizes):
        return 1.0
    observed = abs(math.fsum(contributions)) * (1 - 1e-9)
    draw = np.random.default_rng(seed)
    hits, left, chunk = 0, resamples, max(1, 2_000_000 // len(sizes))
    while left:
        some = min(left, chunk)
        if len(sizes) == counts.sum():
            bits = np.unpackbits(draw.integers(0, 256, (some, len(sizes) // 8 + 1), np.uint8), axis=1)
            positive: np.ndarray = bits[:, : len(sizes)].astype(float)
        else:
            positive = draw.binomial(counts, 0.5, size=(some, len(sizes)))
        sums = (2.0 * positive - counts) @ sizes
        hits += int((np.abs(sums) >= observed).sum())
        left -= some
    return (hits + 1) / (resamples + 1)


def tango_interval(
    lost: float, gained: float, n: float, confidence: float = CONFIDENCE, quantile: float | None = None
) -> tuple[float, float]:
    """Score interval of the difference of paired proportions (Tango 1998, Statistics in Medicine 17:891).

    It holds its level with few discordant documents, where the normal interval is far too short (none at all
    without discordance). Counts may be fractions: effective numbers of a clustered or weighted design.

    Args:
        lost: documents right in the baseline only.
        gained: documents right in the candidate only.
        n: all common documents.
        confidence: two-sided level.
        quantile: in place of the normal quantile.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = quantile if quantile is not None else float(norm.ppf((1 + confidence) / 2))
    delta = (gained - lost) / n

    def high_side(bound: float) -> float:
        return float(tango_score(lost, gained, n, bound)) + z

    def low_side(bound: float) -> float:
        return float(tango_score(lost, gained, n, bound)) - z

    edge = 1 - 1e-12
    high = 1.0 if high_side(edge) > 0 else brentq(high_side, delta, edge, xtol=1e-10)
    low = -1.0 if low_side(-edge) < 0 else brentq(low_side, -edge, delta, xtol=1e-10)
    return float(low), float(high)


def tango_score(
    lost: "np.ndarray | float", gained: "np.ndarray | float", n: float, delta: float
) -> "np.ndarray":
    """Score statistic of the hypothesis that the true difference is `delta`; vectorised over the counts.

    The variance is taken at the most likely probabilities under that hypothesis (Tango 1998, eq. 8 to 10).
    """
    import numpy as np

    b, c = np.asarray(gained, float), np.asarray(lost, float)
    linear = (2 * n - b + c) * delta - b - c
    root = np.sqrt(np.maximum(linear**2 + 8 * n * c * delta * (1 - delta), 0))
    only_lost = (root - linear) / (4 * n)
    variance = np.maximum(n * (2 * only_lost + delta * (1 - delta)), 1e-300)
    return (b - c - n * delta) / np.sqrt(variance)


def _interval(
    differences: "np.ndarray",
    weights: "np.ndarray",
    error: MeanError,
    design_effect: float,
    binary: bool,
    simple: bool,
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[float | None, float | None, IntervalMethod]:
    if error.stderr is None:
        return None, None, "none"
    if simple and not binary:
        return *bootstrap_interval(
            differences, confidence=confidence, resamples=resamples, seed=seed
        ), "bootstrap"
    from scipy.stats import t

    quantile = None if simple else float(t.ppf((1 + confidence) / 2, error.dof))
    if not binary:
        half = (quantile or 0.0) * error.stderr
        return error.value - half, error.value + half, "t"
    n = len(differences) / design_effect
    lost, gained = n * weights[differences < 0].sum(), n * weights[differences > 0].sum()
    return *tango_interval(lost, gained, n, confidence, quantile), "tango"


def document_weights(strata: Sequence[Hashable] | None, n: int) -> "np.ndarray":
    """Weight of each document in the score; they sum to 1."""
    import numpy as np

    if strata is None:
        return np.full(n, 1 / n)
    sizes: dict[Hashable, int] = {}
    for label in strata:
        sizes[label] = sizes.get(label, 0) + 1
    return np.array([1 / (len(sizes) * sizes[label]) for label in strata])


def _totals(contributions: "np.ndarray", clusters: Sequence[Hashable] | None) -> "np.ndarray":
    import numpy as np

    if clusters is None:
        return contributions
    _, place = np.unique(np.asarray([str(one) for one in clusters]), return_inverse=True)
    return np.bincount(place, weights=contributions)


def design_effect_of(differences: "np.ndarray", error: MeanError) -> float:
    """At least 1; where nothing differs, each cluster counts once."""
    n = len(differences)
    if not error.stderr:
        return n / max(error.units, 1)
    simple = mean_error(differences).stderr or 0.0
    return max(1.0, (error.stderr / simple) ** 2) if simple else 1.0
