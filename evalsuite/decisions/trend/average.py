"""The mean of all tasks of a series, centred on chance.

Public names: `average_trend`, `average_noise`.
"""

import math
from collections.abc import Mapping, Sequence

from evalsuite.decisions.seeds.document import SeedNoise
from evalsuite.decisions.seeds.measured import Seeds
from evalsuite.decisions.trend.document import Point, TaskTrend
from evalsuite.decisions.trend.judged import judged_series
from evalsuite.results.runlog import TaskRecord
from evalsuite.stats.intervals import Z


def average_noise(tasks: Sequence[TaskTrend], seeds: Seeds | None) -> SeedNoise | None:
    """The spread of the average between seeds; published values of single tasks do not give it."""
    if seeds is None:
        return None

    def average_of(records: Mapping[str, TaskRecord]) -> float | None:
        scores = [records[task.name].metrics.get(task.metric) for task in tasks if task.name in records]
        values = [score.value for score in scores if score is not None]
        if len(values) < len(tasks):
            return None
        chances = [task.chance or 0.0 for task in tasks]
        return math.fsum((v - c) / (1 - c) for v, c in zip(values, chances, strict=True)) / len(tasks)

    return seeds.noise_of_mean(average_of)


def average_trend(tasks: Sequence[TaskTrend]) -> TaskTrend:
    """Mean of centred scores, (score - chance) / (1 - chance); tasks are independent samples."""
    scales = [1 / (1 - (task.chance or 0.0)) for task in tasks]
    points = []
    for row in zip(*(task.points for task in tasks), strict=True):
        centred = [
            scale * (point.value - (task.chance or 0.0))
            for scale, point, task in zip(scales, row, tasks, strict=True)
        ]
        value = math.fsum(centred) / len(tasks)
        errors = [
            scale * point.stderr for scale, point in zip(scales, row, strict=True) if point.stderr is not None
        ]
        stderr = math.hypot(*errors) / len(tasks) if len(errors) == len(tasks) else None
        points.append(
            Point(
                step=row[0].step,
                value=value,
                low=None if stderr is None else value - Z * stderr,
                high=None if stderr is None else value + Z * stderr,
                stderr=stderr,
            )
        )
    return judged_series(
        "average", "centred", 0.0, False, points, _average_gain(tasks, scales, points), False
    )


def _average_gain(
    tasks: Sequence[TaskTrend], scales: Sequence[float], points: Sequence[Point]
) -> tuple[float, float] | None:
    """95 % interval of the average's gain, from the squared distances to the tasks' (paired) limits."""
    lows, highs = [], []
    for task, scale in zip(tasks, scales, strict=True):
        if task.gain is None or task.gain_low is None or task.gain_high is None:
            return None
        lows.append(scale * (task.gain - task.gain_low))
        highs.append(scale * (task.gain_high - task.gain))
    gain = points[-1].value - points[0].value
    return gain - math.hypot(*lows) / len(tasks), gain + math.hypot(*highs) / len(tasks)
