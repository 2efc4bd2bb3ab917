"""Tango's score interval of the difference of paired proportions, also for clustered documents.

Public names: `tango_interval`, `tango_score`, `tango_p`, `paired_tail`, `Tail`.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from evalsuite.stats.clusters import clustered_tail, clusters_of
from evalsuite.stats.stderr import MeanError

if TYPE_CHECKING:
    import numpy as np

Tail = Callable[[float, float, float], float]
"""Probability of a larger score than this one (0 or more), given the probabilities of a loss and a gain."""


def tango_interval(
    lost: float, gained: float, n: float, confidence: float = 0.95, tail: Tail | None = None
) -> tuple[float, float]:
    """Score interval of the difference of paired proportions (Tango 1998, Statistics in Medicine 17:891).

    It keeps its level with few discordant documents, for which the normal interval is far too short (and
    empty without discordance). Counts may be fractions: effective numbers of a weighted design.

    Args:
        lost: number of documents that only the baseline answers correctly.
        gained: number of documents that only the candidate answers correctly.
        n: number of common documents.
        confidence: two-sided level.
        tail: distribution of the score (`paired_tail`); by default the standard normal distribution.
    """
    from scipy.optimize import brentq

    delta, edge = (gained - lost) / n, 1 - 1e-12

    def inside(bound: float) -> float:
        p = tango_p(lost, gained, n, bound, tail)
        return min(p, 1 - p) - (1 - confidence) / 2

    high = 1.0 if inside(edge) > 0 else brentq(inside, delta, edge, xtol=1e-10)
    low = -1.0 if inside(-edge) > 0 else brentq(inside, -edge, delta, xtol=1e-10)
    return float(low), float(high)


def tango_p(lost: float, gained: float, n: float, delta: float, tail: Tail | None = None) -> float:
    """One-sided p of the hypothesis that the true difference is `delta` at most."""
    score = float(tango_score(lost, gained, n, delta))
    if tail is None:
        return math.erfc(score / math.sqrt(2)) / 2
    loss = max(0.0, -delta, float(_chance_of_loss(lost, gained, n, delta)))
    beyond = tail(abs(score), loss, max(0.0, loss + delta))
    return beyond if score > 0 else 1 - beyond


def tango_score(
    lost: "np.ndarray | float", gained: "np.ndarray | float", n: float, delta: float
) -> "np.ndarray":
    """Score statistic of the hypothesis that the true difference is `delta`; vectorized over the counts.

    The variance is taken at the most likely probabilities under that hypothesis (Tango 1998, eq. 8 to 10).
    """
    import numpy as np

    variance = np.maximum(n * (2 * _chance_of_loss(lost, gained, n, delta) + delta * (1 - delta)), 1e-300)
    score: np.ndarray = (np.asarray(gained, float) - np.asarray(lost, float) - n * delta) / np.sqrt(variance)
    return score


def paired_tail(
    differences: "np.ndarray",
    error: MeanError,
    *,
    strata: Sequence[Hashable] | None = None,
    clusters: Sequence[Hashable] | None = None,
) -> Tail | None:
    """Distribution of Tango's score for documents that are not independent; None if they are.

    With clusters, the correlation is integrated out. The variance of a difference has two parts: the
    directions of the changes, given which documents change, and the number of changes. Each has its own
    design effect, and without a true difference only the first part counts, as in McNemar's test. With strata
    the distribution is Student's t.

    Args:
        differences: -1, 0 or 1 for each document.
        error: the error of their mean.
        strata: member task of each document.
        clusters: source of each document.
    """
    import numpy as np
    from scipy.stats import t

    if strata is not None:
        return lambda score, loss, gain: float(t.sf(score, error.dof))
    if clusters is None:
        return None
    n, changed = len(differences), np.flatnonzero(differences).tolist()
    number = clusters_of(differences != 0, clusters)
    direction = clusters_of(differences[changed] > 0, [clusters[place] for place in changed])
    spread = float(differences.var())
    observed = n * (error.stderr or 0.0) ** 2 / spread if spread else None

    def tail(score: float, loss: float, gain: float) -> float:
        discordance = max(loss + gain, 1e-12)
        variance = max(discordance - (gain - loss) ** 2, 1e-12)
        of_number = min(1.0, (gain - loss) ** 2 * (1 - discordance) / discordance / variance)
        number_weights, number_effects = number.design_effects(discordance)
        weights, direction_effects = direction.design_effects(gain / discordance)
        effects = of_number * float(number_weights @ number_effects) + (1 - of_number) * direction_effects
        return clustered_tail(score, weights, effects, observed, n * variance)

    return tail


def _chance_of_loss(
    lost: "np.ndarray | float", gained: "np.ndarray | float", n: float, delta: float
) -> "np.ndarray":
    import numpy as np

    b, c = np.asarray(gained, float), np.asarray(lost, float)
    linear = (2 * n - b + c) * delta - b - c
    root = np.sqrt(np.maximum(linear**2 + 8 * n * c * delta * (1 - delta), 0))
    chance: np.ndarray = (root - linear) / (4 * n)
    return chance
