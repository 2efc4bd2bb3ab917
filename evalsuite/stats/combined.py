"""Weighted sums of scores, with their error and interval from those of the scores.

Public names: `Part`, `combined`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.stats.intervals import Estimate


@dataclass(frozen=True, slots=True)
class Part:
    """One score of a weighted sum."""

    weight: float
    """Positive."""
    score: Estimate
    shared: str = ""
    """Name that scores over the same documents have in common; empty if no other score has them."""


def combined(parts: Sequence[Part], offset: float = 0.0) -> Estimate:
    """`offset` plus the weighted sum of the scores, with standard error and 95 % interval.

    The interval is recovered from the scores' own intervals (Zou and Donner 2008, Statistics in Medicine
    27:1693), so that a score of 0 of 32 contributes its uncertainty although its standard error is 0. Scores
    are independent, except that those over the same documents are taken to err together (correlation 1),
    which makes the interval too wide rather than too narrow. Without an interval of each score there is none
    of the sum.

    Args:
        parts: the scores; at least one.
        offset: a constant, such as minus the baselines of centred scores.
    """
    value = offset + math.fsum(part.weight * part.score.value for part in parts)
    n = sum(part.score.n for part in parts)
    stderr = _joint([(part.shared, part.weight, part.score.stderr) for part in parts])
    low = _joint([(part.shared, part.weight, _reach(part.score.value, part.score.low)) for part in parts])
    high = _joint([(part.shared, part.weight, _reach(part.score.value, part.score.high)) for part in parts])
    if low is None or high is None:
        return Estimate(value, stderr, None, None, n)
    return Estimate(value, stderr, value - low, value + high, n)


def _reach(value: float, limit: float | None) -> float | None:
    return None if limit is None else abs(value - limit)


def _joint(parts: Sequence[tuple[str, float, float | None]]) -> float | None:
    """Root of the sum of squares over independent scores; distances of scores with a name add up first."""
    alone: list[float] = []
    together: dict[str, float] = {}
    for shared, weight, distance in parts:
        if distance is None:
            return None
        if shared:
            together[shared] = together.get(shared, 0.0) + weight * distance
        else:
            alone.append(weight * distance)
    return math.hypot(*alone, *together.values())
