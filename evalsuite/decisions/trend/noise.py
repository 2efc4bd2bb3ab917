"""Estimates the noise of a series of checkpoints and tests whether its gain exceeds it.

Public names: `step_noise`, `judge_change`, `Judgement`, `FEWEST`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.decisions.trend.document import TrendVerdict

FEWEST = 5
"""Minimum number of points: with fewer, there are less than three residuals to estimate noise from."""
CLEAR = 2.0
"""Number of standard deviations of a difference that a gain must exceed."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a benchmark; fields as in `TaskTrend`."""

    noise: float | None
    signal_to_noise: float | None
    spacing: int | None
    verdict: TrendVerdict
    reason: str


def step_noise(steps: Sequence[float], values: Sequence[float]) -> float | None:
    """Standard deviation of a point from the smooth curve, in the unit of `values`; None below five points.

    Each point is compared with the straight line between its neighbours, which cancels a smooth curve of any
    shape. Squared residuals are divided by their expectation for unit noise and averaged (Gasser, Sroka and
    Jennen-Steinmetz 1986, Biometrika 73:625). Steps must rise, and may be unevenly spaced.
    """
    if len(values) < FEWEST:
        return None
    squares = []
    for index in range(1, len(values) - 1):
        before, here, after = steps[index - 1 : index + 2]
        share = (after - here) / (after - before)
        residual = values[index] - share * values[index - 1] - (1 - share) * values[index + 1]
        squares.append(residual**2 / (1 + share**2 + (1 - share) ** 2))
    return math.sqrt(math.fsum(squares) / len(squares))


def judge_change(
    steps: Sequence[float],
    values: Sequence[float],
    gain_interval: tuple[float, float] | None,
    last_low: float | None,
    chance: float | None,
) -> Judgement:
    """Decide whether the benchmark detects progress at this model size.

    The rule follows the idea of Heineman et al. 2025 (Signal and Noise, arXiv:2508.13144): signal over the
    noise between training steps. Their signal is the spread of scores across models; here it is the gain from
    the first to the last checkpoint of one series. The answer is yes if all of these hold:

    - the last score is above chance (chance is below its 95 % interval);
    - the gain is not due to the choice of documents (its 95 % interval is above 0);
    - the gain exceeds twice the noise of a difference of two checkpoints, 2 * sqrt(2) * noise.

    The last condition alone calls a flat noisy series progress in 9 % of cases with five checkpoints, and in
    5 % with twelve (`tests/decisions/trend/test_trend.py`). Curvature within three checkpoints counts as
    noise. Values and gain must be signed so that more is better.

    Args:
        steps: rising steps of the points.
        values: scores.
        gain_interval: 95 % interval of the gain over documents.
        last_low: lower limit of the last score's interval.
        chance: score of random guessing.
    """
    noise = step_noise(steps, values)
    gain = values[-1] - values[0] if len(values) > 1 else 0.0
    ratio = None if not noise else abs(gain) / noise
    pace = gain / (len(values) - 1) if len(values) > 1 else 0.0
    spacing = None
    if noise is not None and pace > 0:
        spacing = max(1, math.ceil(CLEAR * math.sqrt(2) * noise / pace))
    if len(values) < 2 or gain_interval is None:
        return Judgement(noise, ratio, spacing, "unknown", "fewer than two checkpoints have a score")
    if chance is not None and last_low is not None and last_low <= chance:
        return Judgement(noise, ratio, spacing, "no", "the score is still at chance")
    if gain_interval[1] < 0:
        return Judgement(noise, ratio, spacing, "no", "the score falls")
    if gain_interval[0] <= 0:
        return Judgement(
            noise, ratio, spacing, "no", "the gain is within the sampling error of the documents"
        )
    if noise is None:
        reason = f"the gain exceeds the sampling error, but estimating noise takes {FEWEST} checkpoints"
        return Judgement(None, None, None, "unknown", reason)
    if gain <= CLEAR * math.sqrt(2) * noise:
        return Judgement(noise, ratio, spacing, "no", "the gain is within the noise between checkpoints")
    apart = "from one checkpoint to the next" if spacing == 1 else f"over {spacing} checkpoints"
    return Judgement(noise, ratio, spacing, "yes", f"a gain is detectable {apart}")
