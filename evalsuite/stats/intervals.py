"""Standard errors and 95 % intervals of scores.

Public names: `Estimate`, `mean_estimate`, `macro_estimate`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
Z = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score and how sure it is."""

    value: float
    stderr: float | None
    """None where one value gives no estimate of spread."""
    low: float | None
    high: float | None
    n: int


def mean_estimate(values: Sequence[float]) -> Estimate:
    """Mean with its standard error (sample standard deviation over the root of n).

    The interval is Wilson's where every value is 0 or 1 (it stays inside [0, 1] and holds its level
    near the ends: Brown, Cai and DasGupta 2001), else the normal approximation.
    """
    n = len(values)
    if not n:
        raise ValueError("no values")
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, None, None, 1)
    stderr = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)
    if all(value in (0, 1) for value in values):
        low, high = _wilson(round(math.fsum(values)), n)
    else:
        low, high = mean - Z * stderr, mean + Z * stderr
    return Estimate(mean, stderr, low, high, n)


def macro_estimate(groups: Mapping[str, Sequence[float]]) -> Estimate:
    """Plain mean of the groups' means; groups are independent samples, so their variances add."""
    estimates = [mean_estimate(values) for values in groups.values()]
    count = len(estimates)
    value = math.fsum(estimate.value for estimate in estimates) / count
    n = sum(estimate.n for estimate in estimates)
    if any(estimate.stderr is None for estimate in estimates):
        return Estimate(value, None, None, None, n)
    stderr = math.sqrt(math.fsum((estimate.stderr or 0.0) ** 2 for estimate in estimates)) / count
    return Estimate(value, stderr, value - Z * stderr, value + Z * stderr, n)


def _wilson(successes: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)
