"""Scores over a series of checkpoints, with the noise between them.

Public names: `trend`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from evalsuite.decisions.compare.compare import paired_of
from evalsuite.decisions.compare.pairs import align, common_values
from evalsuite.decisions.trend.document import Checkpoint, Point, TaskTrend, Trend
from evalsuite.decisions.trend.noise import judge
from evalsuite.decisions.trend.steps import steps_of
from evalsuite.errors import UserError
from evalsuite.results.read import RunSide, open_run
from evalsuite.results.runlog import TaskRecord
from evalsuite.stats.intervals import Z
from evalsuite.stats.metrics import lower_is_better


@dataclass(frozen=True)
class _Series:
    """One task with the checkpoints that scored it."""

    steps: list[int]
    sides: list[RunSide]
    tasks: list[TaskRecord]


def trend(*runs: str | Path, steps: Sequence[int] | None = None, allow_protocol_drift: bool = False) -> Trend:
    """Scores of checkpoints of one training, per task and as a chance-centred average, and what they can
    show.

    Args:
        runs: two run folders or `run.json` files, or more; ordered by step.
        steps: training step of each run; default: the number after step, iter, checkpoint or ckpt in the name
            of model, revision or folder, where each run has one of its own; else the order given.
        allow_protocol_drift: go on although a task's prompt spec or data are not the same throughout.

    Raises:
        UserError: a run cannot be read, steps are not distinct, nothing is common, or the protocol drifts.
    """
    if len(runs) < 2:
        raise UserError("Name two runs or more, one for each checkpoint.")
    sides = [open_run(Path(run)) for run in runs]
    numbers, source = steps_of(sides, steps)
    order = sorted(range(len(sides)), key=numbers.__getitem__)
    sides, numbers = [sides[place] for place in order], [numbers[place] for place in order]
    series = _series(sides, numbers)
    drifted = [name for name, one in series.items() if len({_protocol(task) for task in one.tasks}) > 1]
    if drifted and not allow_protocol_drift:
        raise UserError(
            f"Prompt spec, data or number of documents of {', '.join(drifted)} are not the same in all runs, so that "
            "a change would not be the model's; run them again with one version, or accept it with "
            "--allow-protocol-drift."
        )
    tasks = [_task(name, one) for name, one in series.items()]
    averaged = [one for one in tasks if len(one.points) == len(sides) and not one.lower_is_better]
    return Trend(
        evalsuite_version=metadata.version("evalsuite"),
        step_source=source,
        checkpoints=tuple(
            Checkpoint(
                step=step,
                label=side.log.spec.model if source != "order" else side.folder.name or str(side.path),
                path=str(side.path),
                weights_sha256=side.log.model.weights_sha256,
            )
            for side, step in zip(sides, numbers, strict=True)
        ),
        tasks=tuple(tasks),
        average=_average(averaged) if averaged else None,
        averaged=tuple(one.name for one in averaged),
        notes=tuple(_notes(sides, source, drifted)),
    )


def _series(sides: Sequence[RunSide], numbers: Sequence[int]) -> dict[str, _Series]:
    """By task name, in the order of their first run; raises UserError where no task is in two runs."""
    found: dict[str, _Series] = {}
    for side, step in zip(sides, numbers, strict=True):
        for task in side.log.tasks:
            one = found.setdefault(task.name, _Series([], [], []))
            one.steps.append(step)
            one.sides.append(side)
            one.tasks.append(task)
    if all(len(one.steps) < 2 for one in found.values()):
        raise UserError(f"The runs have no task in common; they have {', '.join(found)}.")
    return found


def _protocol(task: TaskRecord) -> tuple[object, ...]:
    """What must be equal for two scores of a task to be of one measurement."""
    data = task.data.get(task.split)
    return (
        task.prompt_sha256,
        task.comparability,
        task.split,
        data and data.fingerprint,
        task.counts.documents,
        task.headline,
        task.aggregation,
    )


def _task(name: str, series: _Series) -> TaskTrend:
    metric, chance = series.tasks[0].headline, series.tasks[0].chance
    scored = [place for place, task in enumerate(series.tasks) if metric in task.metrics]
    points = []
    for place in scored:
        one = series.tasks[place].metrics[metric]
        points.append(
            Point(step=series.steps[place], value=one.value, low=one.low, high=one.high, stderr=one.stderr)
        )
    interval, paired = None, False
    if len(scored) > 1:
        interval, paired = _gain_interval(series, scored[0], scored[-1], metric)
    return _judged(name, metric, chance, lower_is_better(metric), points, interval, paired)


def _gain_interval(
    series: _Series, first: int, last: int, metric: str
) -> tuple[tuple[float, float] | None, bool]:
    """95 % interval of last minus first, and whether documents were paired."""
    before, after = series.tasks[first], series.tasks[last]
    sides = series.sides[first], series.sides[last]
    if all((side.folder / "samples").is_dir() for side in sides):
        one, other = sides[0].samples(before), sides[1].samples(after)
        values = common_values(one, other, align(one, other), metric)
        if values.rows:
            found = paired_of(values, before.aggregation == "macro")
            if found.low is not None and found.high is not None:
                return (found.low, found.high), True
    start, end = before.metrics[metric], after.metrics[metric]
    if start.stderr is None or end.stderr is None:
        return None, False
    delta, reach = end.value - start.value, Z * math.hypot(start.stderr, end.stderr)
    return (delta - reach, delta + reach), False


def _judged(
    name: str,
    metric: str,
    chance: float | None,
    lower: bool,
    points: Sequence[Point],
    interval: tuple[float, float] | None,
    paired: bool,
) -> TaskTrend:
    sign = -1.0 if lower else 1.0
    turned = interval if interval is None or not lower else (-interval[1], -interval[0])
    found = judge(
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


def _average(tasks: Sequence[TaskTrend]) -> TaskTrend:
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
    return _judged("average", "centred", 0.0, False, points, _average_gain(tasks, scales, points), False)


def _average_gain(
    tasks: Sequence[TaskTrend], scales: Sequence[float], points: Sequence[Point]
) -> tuple[float, float] | None:
    """Squared distances of the tasks' own (paired) limits, added."""
    lows, highs = [], []
    for task, scale in zip(tasks, scales, strict=True):
        if task.gain is None or task.gain_low is None or task.gain_high is None:
            return None
        lows.append(scale * (task.gain - task.gain_low))
        highs.append(scale * (task.gain_high - task.gain))
    gain = points[-1].value - points[0].value
    return gain - math.hypot(*lows) / len(tasks), gain + math.hypot(*highs) / len(tasks)


def _notes(sides: Sequence[RunSide], source: str, drifted: Sequence[str]) -> list[str]:
    notes = [
        "Bands are 95 % intervals of each score by itself; checkpoints answer the same documents, so that the "
        "noise between them may well be smaller.",
    ]
    if source == "order":
        notes.append(
            "Steps are positions in the order given; --steps or names with step-1000 tell the real ones."
        )
    if drifted:
        notes.append(f"The protocol of {', '.join(drifted)} is not the same in all runs.")
    numerics = dict.fromkeys(side.log.model.numerics for side in sides)
    if len(numerics) > 1:
        notes.append(f"The runs were computed in different numerics classes: {'; '.join(numerics)}.")
    same = len({side.log.model.weights_sha256 for side in sides}) < len(sides)
    if same:
        notes.append("At least two runs are of the same weights.")
    return notes
