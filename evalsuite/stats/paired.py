"""Estimates and tests the difference between two runs on the same documents.

Public names: `Paired`, `paired_estimate`, `mcnemar_exact`, `sign_flip`, `document_weights`,
`design_effect_of`.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evalsuite.stats.bootstrap import bootstrap_interval
from evalsuite.stats.intervals import CONFIDENCE
from evalsuite.stats.stderr import MeanError, cluster_totals, mean_error
from evalsuite.stats.tango import paired_tail, tango_interval

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
    """Method of the interval; none if a single unit gives no estimate of spread."""
    test: Test
    p: float
    """Two-sided p-value for no difference."""
    discordance: float
    """Mean squared difference per document; for 0/1 verdicts, the share of changed verdicts."""
    design_effect: float
    """Variance of the delta divided by that of as many independent, equally weighted documents."""
    binary: bool
    """Whether every value of both runs is 0 or 1."""
    n: int

    @property
    def effective_n(self) -> float:
        """Number of independent documents with the same information."""
        return self.n / self.design_effect


def paired_estimate(
    baseline: Sequence[float],
    candidate: Sequence[float],
    *,
    strata: Sequence[Hashable] | None = None,
    clusters: Sequence[Hashable] | None = None,
    weights: Sequence[float] | None = None,
    confidence: float = CONFIDENCE,
    resamples: int = 9_999,
    seed: int = 0,
) -> Paired:
    """Delta of two runs with its paired interval and a test of no difference.

    0/1 verdicts have Tango's score interval and McNemar's exact test, other values a bootstrap interval over
    documents and a sign-flip permutation test. Both take clusters and strata (macro average) into account:
    the score interval integrates out the clusters' correlation (`stats/tango.py`), and with strata uses the
    effective number of documents; the permutation flips whole clusters.

    Args:
        baseline: value of each common document.
        candidate: values of the same documents, in the same order.
        strata: member task of each document, if the score is the unweighted mean of member tasks.
        clusters: source of each document, if documents share sources.
        weights: weight of each document, if the score is a weighted mean (the bytes of texts).
        confidence: level of the two-sided interval.
        resamples: number of resamples of bootstrap and permutation.
        seed: seed of their random stream; equal input gives an equal result.
    """
    import numpy as np
    from scipy.stats import t

    first, second = np.asarray(baseline, float), np.asarray(candidate, float)
    if len(first) != len(second):
        raise ValueError("the runs have different numbers of values")
    differences = second - first
    error = mean_error(differences, strata=strata, clusters=clusters, weights=weights)
    binary = weights is None and bool(np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all())
    shares = document_weights(strata, len(differences), weights)
    simple = strata is None and clusters is None and weights is None
    design_effect = 1.0 if simple else design_effect_of(differences, error)
    low = high = None
    method: IntervalMethod = "none"
    if error.stderr is not None and binary:
        n = len(differences) / (design_effect if strata is not None else 1.0)
        lost, gained = n * shares[differences < 0].sum(), n * shares[differences > 0].sum()
        tail = paired_tail(differences, error, strata=strata, clusters=clusters)
        low, high = tango_interval(lost, gained, n, confidence, tail=tail)
        method = "tango"
    elif error.stderr is not None and simple:
        low, high = bootstrap_interval(differences, confidence=confidence, resamples=resamples, seed=seed)
        method = "bootstrap"
    elif error.stderr is not None:
        half = float(t.ppf((1 + confidence) / 2, error.dof)) * error.stderr
        low, high, method = error.value - half, error.value + half, "t"
    if binary and simple:
        test: Test = "mcnemar"
        p = mcnemar_exact(int((differences < 0).sum()), int((differences > 0).sum()))
    else:
        test, p = "sign_flip", sign_flip(_totals(differences * shares, clusters), resamples, seed)
    return Paired(
        baseline=math.fsum(first * shares),
        candidate=math.fsum(second * shares),
        delta=error.value,
        stderr=error.stderr,
        low=low,
        high=high,
        interval=method,
        test=test,
        p=p,
        discordance=float((differences**2 * shares).sum()),
        design_effect=design_effect,
        binary=binary,
        n=len(differences),
    )


def mcnemar_exact(lost: int, gained: int) -> float:
    """Two-sided exact p that losses and gains are equally likely (McNemar 1947); 1 if there are none."""
    from scipy.stats import binomtest

    flips = lost + gained
    return float(binomtest(lost, flips, 0.5).pvalue) if flips else 1.0


def sign_flip(contributions: "Sequence[float] | np.ndarray", resamples: int = 9_999, seed: int = 0) -> float:
    """Two-sided p that the sum of contributions is as far from 0 with random signs.

    The permutation test swaps the runs' labels for each unit; contributions of equal size share a binomial
    draw. The observed labels count as one of the permutations (Phipson and Smyth 2010).
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
        size = min(left, chunk)
        if len(sizes) == counts.sum():
            bits = np.unpackbits(draw.integers(0, 256, (size, len(sizes) // 8 + 1), np.uint8), axis=1)
            positive: np.ndarray = bits[:, : len(sizes)].astype(float)
        else:
            positive = draw.binomial(counts, 0.5, size=(size, len(sizes)))
        sums = (2.0 * positive - counts) @ sizes
        hits += int((np.abs(sums) >= observed).sum())
        left -= size
    return (hits + 1) / (resamples + 1)


def document_weights(
    strata: Sequence[Hashable] | None, n: int, weights: Sequence[float] | None = None
) -> "np.ndarray":
    """Share of each document in the score, by its weight within its stratum; they sum to 1."""
    import numpy as np

    own = np.ones(n) if weights is None else np.array(weights, float)
    if strata is None:
        own /= own.sum()
        return own
    sizes: dict[Hashable, float] = {}
    for label, weight in zip(strata, own.tolist(), strict=True):
        sizes[label] = sizes.get(label, 0.0) + weight
    own /= np.array([len(sizes) * sizes[label] for label in strata])
    return own


def _totals(contributions: "np.ndarray", clusters: Sequence[Hashable] | None) -> "np.ndarray":
    return contributions if clusters is None else cluster_totals(contributions, clusters)[0]


def design_effect_of(differences: "np.ndarray", error: MeanError) -> float:
    """Design effect of the differences, at least 1; if nothing differs, each cluster counts once."""
    n = len(differences)
    if not error.stderr:
        return n / max(error.units, 1)
    simple = mean_error(differences).stderr or 0.0
    return max(1.0, (error.stderr / simple) ** 2) if simple else 1.0
