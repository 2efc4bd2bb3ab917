"""One score over a series of checkpoints, with its gain, noise and verdict.

Public names: `judged_series`.
"""

import math
from collections.abc import Sequence

from evalsuite.decisions.trend.document import Point, TaskTrend
from evalsuite.decisions.trend.noise import judge_change


def judged_series(
    name: str,
    metric: str,
    chance: float | None,
    lower: bool,
    points: Sequence[Point],
    interval: tuple[float, float] | None,
    paired: bool,
) -> TaskTrend:
    """The trend of a score.

    Args:
        name: the task's or the mean's.
        metric: its metric.
        chance: score of guessing.
        lower: whether lower is better.
        points: scores by step.
        interval: 95 % interval of the last minus the first score.
        paired: whether it is one of paired documents.
    """
    sign = -1.0 if lower else 1.0
    turned = interval if interval is None or not lower else (-interval[1], -interval[0])
    found = judge_change(
        [point.step for point in points],
        [sign * point.value for point in points],
        turned,
        None if lower or not points else points[-1].low,
        None if lower else chance,
    )
    errors = [point.stderr for point in points if point.stderr is not None]
    return TaskTrend(
        name=name,
        metric=metric,
        chance=chance,
        lower_is_better=lower,
        points=tuple(points),
        gain=points[-1].value - points[0].value if len(points) > 1 else None,
        gain_low=interval[0] if interval else None,
        gain_high=interval[1] if interval else None,
        gain_paired=paired,
        sampling_error=math.sqrt(math.fsum(error**2 for error in errors) / len(errors)) if errors else None,
        noise=found.noise,
        signal_to_noise=found.signal_to_noise,
        spacing=found.spacing,
        verdict=found.verdict,
        reason=found.reason,
    )
