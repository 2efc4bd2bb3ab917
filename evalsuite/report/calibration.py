"""Do the probabilities of the choices mean what they say?

Public names: `Bin`, `Calibration`, `calibration`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalsuite.stats.intervals import mean_estimate

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Documents whose chosen answer has a probability in one range."""

    start: float
    end: float
    n: int
    confidence: float
    """Mean probability of the chosen answer."""
    accuracy: float
    low: float | None
    """95 % interval of the accuracy."""
    high: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Reliability of one multiple-choice task."""

    n: int
    ece: float
    """Expected calibration error: mean over documents of |accuracy - confidence| of their bin (Naeini,
    Cooper and Hauskrecht 2015; 10 equal bins)."""
    confidence: float
    accuracy: float
    bins: tuple[Bin, ...]
    """Those that hold documents."""


def calibration(questions: Iterable[tuple[Sequence[float], int]]) -> Calibration | None:
    """Reliability of the softmax over each document's choice log-likelihoods.

    Args:
        questions: summed log-likelihoods of the choices, and the index of the right one. Documents with
            fewer than two choices or a value that is not finite are left out.

    Returns:
        None where no document is left.
    """
    held: list[list[tuple[float, float]]] = [[] for _ in range(BINS)]
    for scores, answer in questions:
        if len(scores) < 2 or not all(map(math.isfinite, scores)):
            continue
        best = max(scores)
        confidence = 1 / math.fsum(math.exp(score - best) for score in scores)
        right = float(scores.index(best) == answer)
        held[min(int(confidence * BINS), BINS - 1)].append((confidence, right))
    everything = [one for group in held for one in group]
    if not everything:
        return None
    bins = tuple(_bin(place, group) for place, group in enumerate(held) if group)
    n = len(everything)
    return Calibration(
        n=n,
        ece=math.fsum(one.n * abs(one.accuracy - one.confidence) for one in bins) / n,
        confidence=math.fsum(confidence for confidence, _ in everything) / n,
        accuracy=math.fsum(right for _, right in everything) / n,
        bins=bins,
    )


def _bin(place: int, group: Sequence[tuple[float, float]]) -> Bin:
    estimate = mean_estimate([right for _, right in group])
    return Bin(
        start=place / BINS,
        end=(place + 1) / BINS,
        n=len(group),
        confidence=math.fsum(confidence for confidence, _ in group) / len(group),
        accuracy=estimate.value,
        low=estimate.low,
        high=estimate.high,
    )
