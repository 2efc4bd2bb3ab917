"""Random verdicts with known chances, in passages and in repeated samples, for benchmarks/coverage.py."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.optimize import root
from scipy.special import expit, logit

Passages = Callable[[np.random.Generator, int, int], np.ndarray]
"""Draws the passage of each of n documents, for a given mean size."""
Chances = Callable[[np.random.Generator, float, float, np.ndarray], np.ndarray]
"""Draws each document's chance of being right, for a given mean, correlation and passages."""


def cluster_draw(
    draw: np.random.Generator,
    n: int,
    size: int,
    p: float,
    correlation: float,
    sizes: Passages | None = None,
    chances: Chances | None = None,
) -> tuple[np.ndarray, list[int]]:
    """The verdicts and their passages."""
    labels = (sizes or passages)(draw, n, size)
    right = draw.random(n) < (chances or cluster_chances)(draw, p, correlation, labels)
    return right.astype(float), labels.tolist()


def passages(draw: np.random.Generator, n: int, size: int) -> np.ndarray:
    """The passage of each document; sizes are 1 + Poisson with mean `size`."""
    sizes = 1 + draw.poisson(size - 1, n)
    return np.repeat(np.arange(n), sizes)[:n]


def geometric(draw: np.random.Generator, n: int, size: int) -> np.ndarray:
    """Passages of geometric sizes: many small passages and a few large ones."""
    return np.repeat(np.arange(n), draw.geometric(1 / size, n))[:n]


def equal(draw: np.random.Generator, n: int, size: int) -> np.ndarray:
    """Passages of equal size."""
    return np.arange(n) // size


def cluster_chances(
    draw: np.random.Generator, p: float, correlation: float, labels: np.ndarray
) -> np.ndarray:
    """Each document's chance of being right, beta distributed over passages, with mean p."""
    scale = (1 - correlation) / correlation
    return draw.beta(p * scale, (1 - p) * scale, labels.max() + 1)[labels]


def logit_normal_chances(
    draw: np.random.Generator, p: float, correlation: float, labels: np.ndarray
) -> np.ndarray:
    """Chances with normally distributed logits."""
    middle, spread = logit_normal(p, correlation)
    return expit(middle + spread * draw.standard_normal(labels.max() + 1))[labels]


def all_or_nothing_chances(
    draw: np.random.Generator, p: float, correlation: float, labels: np.ndarray
) -> np.ndarray:
    """Chances where some passages are wholly right or wrong and the other documents are independent."""
    count = labels.max() + 1
    whole = draw.random(count) < correlation
    return np.where(whole, draw.random(count) < p, p)[labels]


@cache
def logit_normal(p: float, correlation: float) -> tuple[float, float]:
    """Mean and standard deviation of the logit, for chances of mean p and variance p (1 - p) correlation."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()

    def missing(guess: np.ndarray) -> list[float]:
        chances = expit(guess[0] + np.exp(guess[1]) * nodes)
        mean = float(weights @ chances)
        variance = float(weights @ chances**2) - mean**2
        return [logit(mean) - logit(p), math.log(variance / (p * (1 - p) * correlation))]

    found = root(missing, [1.2 * logit(p), math.log(1 + 3 * correlation)])
    if not found.success:
        raise ArithmeticError(f"no logit-normal chance has mean {p} and correlation {correlation}")
    return float(found.x[0]), float(np.exp(found.x[1]))


def beta_chances(draw: np.random.Generator, p: float, count: int) -> np.ndarray:
    """Beta distributed chances of solving a problem."""
    return draw.beta(p * 2, (1 - p) * 2, count)


def three_kinds(draw: np.random.Generator, p: float, count: int) -> np.ndarray:
    """Chances of problems that all, no or half of the answers solve."""
    coins, kind = min(p, 1 - p), draw.random(count)
    return np.where(kind < p - coins / 2, 1.0, np.where(kind < p + coins / 2, 0.5, 0.0))
