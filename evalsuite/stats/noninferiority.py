"""Tests whether a candidate is worse by less than a margin, and the power of that test.

Public names: `NonInferiority`, `noninferiority`, `mover_bounds`, `pass_chance`, `mean_pass_chance`,
`margin_needed`, `documents_for_margin`.

*Damage* is how much worse the candidate is, in the unit of the metric; a margin is the tolerated damage.
`alpha` is always one-sided. *Discordance* is the mean squared difference per document between the runs: for
0/1 verdicts the share of documents that only one run answers correctly.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalsuite.stats.paired import design_effect_of, document_weights
from evalsuite.stats.stderr import mean_error
from evalsuite.stats.tango import paired_tail, tango_interval, tango_p, tango_score

if TYPE_CHECKING:
    import numpy as np

_MOST_ENUMERATED = 1_000
"""Most expected discordant documents to enumerate; above, the normal approximation is within 0.002."""


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """Damage on the common documents with its one-sided bounds."""

    baseline: float
    candidate: float
    damage: float
    low: float | None
    """Lower bound of the damage at level 1 - alpha; None if a single unit gives no estimate of spread."""
    high: float | None
    """Upper bound of the damage at level 1 - alpha."""
    p_beyond: float
    """One-sided p of damage within the margin; small if the damage exceeds the margin."""
    discordance: float
    effective_n: float
    """Number of independent documents with the same information."""
    n: int
    binary: bool

    def within(self, margin: float) -> bool:
        """Whether the whole interval is within the margin."""
        return self.high is not None and self.high <= margin


def noninferiority(
    baseline: Sequence[float],
    candidate: Sequence[float],
    margin: float,
    *,
    alpha: float,
    lower_is_better: bool = False,
    strata: Sequence[Hashable] | None = None,
    clusters: Sequence[Hashable] | None = None,
    weights: Sequence[float] | None = None,
) -> NonInferiority:
    """Bounds of the damage: by the score test of paired proportions for 0/1 verdicts, else by Student's t.

    The score test of a non-zero difference is Nam's (1997, Biometrics 53:1422); its interval is Tango's.
    """
    import numpy as np
    from scipy.stats import t

    first, second = np.asarray(baseline, float), np.asarray(candidate, float)
    worse = second - first if lower_is_better else first - second
    error = mean_error(worse, strata=strata, clusters=clusters, weights=weights)
    shares = document_weights(strata, len(worse), weights)
    binary = weights is None and bool(np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all())
    simple = strata is None and clusters is None and weights is None
    effective = len(worse) / (1.0 if simple else design_effect_of(worse, error))
    low = high = None
    p_beyond = 1.0
    if error.stderr is not None and binary:
        n = effective if strata is not None else len(worse)
        lost, gained = n * shares[worse > 0].sum(), n * shares[worse < 0].sum()
        tail = paired_tail(worse, error, strata=strata, clusters=clusters)
        low, high = tango_interval(gained, lost, n, 1 - 2 * alpha, tail)
        p_beyond = tango_p(gained, lost, n, margin, tail)
    elif error.stderr is not None:
        half = float(t.isf(alpha, error.dof)) * error.stderr
        low, high = error.value - half, error.value + half
        if error.stderr:
            p_beyond = float(t.sf((error.value - margin) / error.stderr, error.dof))
        else:
            p_beyond = float(error.value <= margin)
    return NonInferiority(
        baseline=math.fsum(first * shares),
        candidate=math.fsum(second * shares),
        damage=error.value,
        low=low,
        high=high,
        p_beyond=p_beyond,
        discordance=float((worse**2 * shares).sum()),
        effective_n=effective,
        n=len(worse),
        binary=binary,
    )


def mover_bounds(parts: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Unweighted mean of independent quantities, each given as (value, low, high), with its bounds.

    The method of variance estimates recovery (Zou and Donner 2008, Statistics in Medicine 27:1693) preserves
    the asymmetry of each interval for skewed or rare outcomes.
    """
    count = len(parts)
    mean = math.fsum(value for value, _, _ in parts) / count
    below = math.sqrt(math.fsum((value - low) ** 2 for value, low, _ in parts)) / count
    above = math.sqrt(math.fsum((high - value) ** 2 for value, _, high in parts)) / count
    return mean, mean - below, mean + above


def pass_chance(n: float, discordance: float, margin: float, alpha: float, damage: float = 0.0) -> float:
    """Probability that 0/1 verdicts with a true `damage` are shown within the margin.

    Exact over all numbers of lost and gained documents if these are few, else by the normal approximation.
    """
    import numpy as np
    from scipy.stats import binom, norm

    discordance = min(1.0, max(discordance, abs(damage)))
    z = float(norm.isf(alpha))
    if n * discordance > _MOST_ENUMERATED:
        deviation = math.sqrt((discordance - damage**2) / n)
        null = math.sqrt(max(discordance, margin) / n)
        return float(norm.cdf((margin - damage - z * null) / deviation))
    size = max(1, round(n))
    p_lost, p_gained = (discordance + damage) / 2, (discordance - damage) / 2
    lost, gained = np.meshgrid(_likely(size, p_lost), _likely(size, p_gained), indexing="ij")
    chance = binom.pmf(lost, size, p_lost) * binom.pmf(gained, size - lost, p_gained / max(1 - p_lost, 1e-12))
    passes = tango_score(gained, lost, size, margin) <= -z
    return float((chance * passes)[lost + gained <= size].sum())


def mean_pass_chance(n: float, discordance: float, margin: float, alpha: float) -> float:
    """`pass_chance` for other metrics and an unchanged candidate, by the normal approximation."""
    from scipy.stats import norm

    if not discordance:
        return 1.0
    return float(norm.cdf(margin / math.sqrt(discordance / n) - norm.isf(alpha)))


def margin_needed(n: float, discordance: float, power: float, alpha: float) -> float:
    """Margin within which an unchanged candidate is shown with probability `power` (0/1 verdicts)."""
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        if pass_chance(n, discordance, middle, alpha) < power:
            low = middle
        else:
            high = middle
    return high


def documents_for_margin(discordance: float, margin: float, power: float, alpha: float) -> int:
    """Number of documents with which an unchanged candidate is shown within `margin` (0/1 verdicts)."""
    low, high = 1.0, 2.0
    while pass_chance(high, discordance, margin, alpha) < power and high < 1e9:
        low, high = high, 2 * high
    while high - low > max(1.0, 0.005 * high):
        middle = (low + high) / 2
        if pass_chance(middle, discordance, margin, alpha) < power:
            low = middle
        else:
            high = middle
    return math.ceil(high)


def _likely(n: int, p: float) -> "np.ndarray":
    """Counts with all but 10^-12 of the binomial probability."""
    import numpy as np
    from scipy.stats import binom

    return np.arange(binom.ppf(1e-12, n, p), binom.isf(1e-12, n, p) + 1)
