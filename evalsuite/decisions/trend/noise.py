"""Noise of a series of checkpoints, and whether its gain stands out.

Public names: `step_noise`, `judge`, `Judgement`, `FEWEST`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.decisions.trend.document import TrendVerdict

FEWEST = 5
"""Points below which noise and trend cannot be told apart: fewer than three residuals."""
CLEAR = 2.0
"""Standard deviations of a difference that a gain must exceed."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a series says of a benchmark; fields as in `TaskTrend`."""

    noise: float | None
    signal_to_noise: float | None
    spacing: int | None
    verdict: TrendVerdict
    reason: str


def step_noise(steps: Sequence[float], values: Sequence[float]) -> float | None:
    """Standard deviation of a point about the smooth course, in the unit of `values`; None below five points.

    Each point is compared with the straight line between its neighbours, so that a course of any smooth shape
    drops out; squared residuals are divided by their expectation for unit noise and averaged (Gasser, Sroka
    and Jennen-Steinmetz 1986, Biometrika 73:625). Steps may be unevenly spaced; they must rise.
    """
    if len(values) < FEWEST:
        return None
    squares = []
    for place in range(1, len(values) - 1):
        before, here, after = steps[place - 1 : place + 2]
        share = (after - here) / (after - before)
        residual = values[place] - share * values[place - 1] - (1 - share) * values[place + 1]
        squares.append(residual**2 / (1 + share**2 + (1 - share) ** 2))
    return math.sqrt(math.fsum(squares) / len(squares))


def judge(
    steps: Sequence[float],
    values: Sequence[float],
    gain_interval: tuple[float, float] | None,
    last_low: float | None,
    chance: float | None,
) -> Judgement:
    """Can the benchmark show progress at this size?

    The rule is ours; its idea, signal over noise between training steps, is that of Heineman et al. 2025
    (Signal and Noise, arXiv:2508.13144), whose signal is the spread of scores across models. Here it is the
    gain from the first to the last checkpoint of one series, and the answer is yes if all of these hold:

    - the last score is above chance (its 95 % interval does not reach it);
    - the gain is not an accident of these documents (its 95 % interval is above 0);
    - the gain exceeds twice the noise of a difference of two checkpoints, 2 * sqrt(2) * noise.

    By the last condition alone, a flat noisy series is called progress in 9 % of cases with five checkpoints,
    5 % with twelve (`tests/decisions/trend/test_trend.py`); curvature within three checkpoints counts as
    noise. Values and gain must be turned so that more is better.

    Args:
        steps: of the points, rising.
        values: scores.
        gain_interval: 95 % interval of the gain over documents.
        last_low: lower limit of the last score's interval.
        chance: score of guessing.
    """
    noise = step_noise(steps, values)
    gain = values[-1] - values[0] if len(values) > 1 else 0.0
    ratio = None if not noise else abs(gain) / noise
    pace = gain / (len(values) - 1) if len(values) > 1 else 0.0
    spacing = None
    if noise is not None and pace > 0:
        spacing = max(1, math.ceil(CLEAR * math.sqrt(2) * noise / pace))
    if len(values) < 2 or gain_interval is None:
        return Judgement(noise, ratio, spacing, "unknown", "it has a score at fewer than two checkpoints")
    if chance is not None and last_low is not None and last_low <= chance:
        return Judgement(noise, ratio, spacing, "no", "it is still at chance")
    if gain_interval[1] < 0:
        return Judgement(noise, ratio, spacing, "no", "it falls")
    if gain_interval[0] <= 0:
        return Judgement(
            noise, ratio, spacing, "no", "its gain is within the sampling error of its documents"
        )
    if noise is None:
        return Judgement(
            None,
            None,
            None,
            "unknown",
            f"its gain is beyond the sampling error; with fewer than {FEWEST} checkpoints the noise is not known",
        )
    if gain <= CLEAR * math.sqrt(2) * noise:
        return Judgement(noise, ratio, spacing, "no", "its gain is within the noise between checkpoints")
    apart = "from one checkpoint to the next" if spacing == 1 else f"over {spacing} checkpoints"
    return Judgement(noise, ratio, spacing, "yes", f"a gain shows {apart}")
