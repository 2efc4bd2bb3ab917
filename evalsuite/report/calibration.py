"""Calibration: how well the probabilities of the choices match the accuracy.

Public names: `Bin`, `Calibration`, `calibration`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalsuite.stats.intervals import mean_estimate

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Documents whose chosen answer has a probability within a range."""

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
    """Expected calibration error (Naeini, Cooper and Hauskrecht 2015) over 10 equal bins.

    It is the mean over documents of |accuracy - confidence| of their bin.
    """
    confidence: float
    accuracy: float
    bins: tuple[Bin, ...]
    """The bins that contain documents."""


def calibration(questions: Iterable[tuple[Sequence[float], int]]) -> Calibration | None:
    """Reliability of the softmax over each document's choice log-likelihoods.

    Args:
        questions: summed log-likelihoods of the choices, and the index of the correct choice. Documents with
            fewer than two choices or a non-finite value are skipped.

    Returns:
        None if all documents are skipped.
    """
    groups: list[list[tuple[float, float]]] = [[] for _ in range(BINS)]
    for scores, answer in questions:
        if len(scores) < 2 or not all(map(math.isfinite, scores)):
            continue
        best = max(scores)
        confidence = 1 / math.fsum(math.exp(score - best) for score in scores)
        correct = float(scores.index(best) == answer)
        groups[min(int(confidence * BINS), BINS - 1)].append((confidence, correct))
    documents = [document for group in groups for document in group]
    if not documents:
        return None
    bins = tuple(_bin(index, group) for index, group in enumerate(groups) if group)
    n = len(documents)
    return Calibration(
        n=n,
        ece=math.fsum(part.n * abs(part.accuracy - part.confidence) for part in bins) / n,
        confidence=math.fsum(confidence for confidence, _ in documents) / n,
        accuracy=math.fsum(correct for _, correct in documents) / n,
        bins=bins,
    )


def _bin(index: int, group: Sequence[tuple[float, float]]) -> Bin:
    estimate = mean_estimate([correct for _, correct in group])
    return Bin(
        start=index / BINS,
        end=(index + 1) / BINS,
        n=len(group),
        confidence=math.fsum(confidence for confidence, _ in group) / len(group),
        accuracy=estimate.value,
        low=estimate.low,
        high=estimate.high,
    )
