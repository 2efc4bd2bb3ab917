"""How far two trainings that differ in their seed alone are apart.

Public names: `apart_by_chance`, `sd_of_mean`, `sd_of_sum`.
"""

import math
from collections.abc import Sequence


def apart_by_chance(sd: float, trainings: int, alpha: float) -> float:
    """The difference that two equal trainings exceed in one direction with probability `alpha`.

    The difference of two independent normal scores has standard deviation sqrt(2) * sigma. With sigma
    estimated by `sd` from n other trainings, the difference divided by sqrt(2) * sd follows Student's t with
    n - 1 degrees of freedom.

    Args:
        sd: sample standard deviation (n - 1) of a score between trainings, in the unit of the score.
        trainings: the number n of trainings, at least 2.
        alpha: one-sided probability, between 0 and 0.5.
    """
    from scipy.stats import t

    return float(t.isf(alpha, trainings - 1)) * math.sqrt(2) * sd


def sd_of_mean(sds: Sequence[float], tasks: int) -> float:
    """Standard deviation of the mean over a number of independent tasks, of which some have a known one.

    The other tasks count as if they had none, so that the result is a lower bound where `sds` is shorter.
    """
    return math.sqrt(math.fsum(sd**2 for sd in sds)) / tasks


def sd_of_sum(sds: Sequence[tuple[str, float]]) -> float:
    """Standard deviation of a sum of independent scores.

    Args:
        sds: a name and the standard deviation of each summand; those with the same name are over the same
            documents and vary together. Summands without a name are independent of all others.
    """
    together: dict[str, float] = {}
    for name, sd in sds:
        if name:
            together[name] = together.get(name, 0.0) + sd
    return math.hypot(*together.values(), *(sd for name, sd in sds if not name))
