"""Computes scores over a series of checkpoints, and the noise between them.

Public names: `trend`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from evalsuite.decisions.compare.compare import paired_of
from evalsuite.decisions.compare.pairs import align, common_values
from evalsuite.decisions.seeds.measured import open_seeds
from evalsuite.decisions.seeds.noise import seed_noise
from evalsuite.decisions.trend.average import average_noise, average_trend
from evalsuite.decisions.trend.document import Checkpoint, Point, TaskTrend, Trend
from evalsuite.decisions.trend.judged import judged_series
from evalsuite.decisions.trend.suites import suite_notes, suite_trends
from evalsuite.errors import UserError
from evalsuite.results.read import RunSide, open_run
from evalsuite.results.runlog import TaskRecord
from evalsuite.results.steps import steps_of
from evalsuite.stats.intervals import Z
from evalsuite.stats.metrics import is_macro, lower_is_better


@dataclass(frozen=True)
class _Series:
    """One task and the checkpoints that have it."""

    steps: list[int]
    sides: list[RunSide]
    tasks: list[TaskRecord]


def trend(
    *runs: str | Path,
    steps: Sequence[int] | None = None,
    seeds: Sequence[str | Path] = (),
    allow_protocol_drift: bool = False,
) -> Trend:
    """Scores over the checkpoints of a training run, per task and averaged, and which tasks detect progress.

    Args:
        runs: two or more run folders or `run.json` files, in any order.
        steps: training step of each run; default: the number after step, iter, checkpoint or ckpt in the name
            of model, revision or folder, if it differs between all runs; else the number of the run.
        seeds: runs of two or more trainings that differ in their seed alone, at one step; by default the
            noise between seeds is that of the published table, for the tasks that it has.
        allow_protocol_drift: continue even if a task's prompt spec or data differ between runs.

    Raises:
        UserError: a run cannot be read, steps are not distinct, the runs have no task in common, or their
            protocols differ.
    """
    if len(runs) < 2:
        raise UserError("Give two or more runs, one per checkpoint.")
    sides = [open_run(Path(run)) for run in runs]
    numbers, source = steps_of(sides, steps)
    order = sorted(range(len(sides)), key=numbers.__getitem__)
    sides, numbers = [sides[index] for index in order], [numbers[index] for index in order]
    series = _series(sides, numbers)
    drifted = [name for name, runs in series.items() if len({_protocol(task) for task in runs.tasks}) > 1]
    if drifted and not allow_protocol_drift:
        raise UserError(
            f"Prompt spec, data or number of documents of {', '.join(drifted)} differ between the runs, so "
            "that a change in scores would not be due to the model alone. Run all with the same version, or "
            "accept it with --allow-protocol-drift."
        )
    measured = open_seeds(seeds)
    noise = seed_noise({name: (of.tasks[0], of.tasks[0].headline) for name, of in series.items()}, measured)
    tasks = [
        _task(name, runs).model_copy(update={"seed_noise": noise.get(name)}) for name, runs in series.items()
    ]
    averaged = [task for task in tasks if len(task.points) == len(sides) and not task.lower_is_better]
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
        suites=suite_trends(sides, numbers, {task.name: task for task in tasks}, measured),
        average=average_trend(averaged).model_copy(update={"seed_noise": average_noise(averaged, measured)})
        if averaged
        else None,
        averaged=tuple(task.name for task in averaged),
        notes=(*_notes(sides, source, drifted), *suite_notes(sides)),
    )


def _series(sides: Sequence[RunSide], numbers: Sequence[int]) -> dict[str, _Series]:
    """Series by task name, in order of appearance; raises UserError if no task is in two runs."""
    by_task: dict[str, _Series] = {}
    for side, step in zip(sides, numbers, strict=True):
        for task in side.log.tasks:
            series = by_task.setdefault(task.name, _Series([], [], []))
            series.steps.append(step)
            series.sides.append(side)
            series.tasks.append(task)
    if all(len(series.steps) < 2 for series in by_task.values()):
        raise UserError(f"The runs have no task in common; they have {', '.join(by_task)}.")
    return by_task


def _protocol(task: TaskRecord) -> tuple[object, ...]:
    """The settings that must be equal for two scores of a task to be comparable."""
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
    scored = [index for index, task in enumerate(series.tasks) if metric in task.metrics]
    points = []
    for index in scored:
        step, score = series.steps[index], series.tasks[index].metrics[metric]
        points.append(
            Point(step=step, value=score.value, low=score.low, high=score.high, stderr=score.stderr)
        )
    interval, paired = None, False
    if len(scored) > 1:
        interval, paired = _gain_interval(series, scored[0], scored[-1], metric)
    return judged_series(name, metric, chance, lower_is_better(metric), points, interval, paired)


def _gain_interval(
    series: _Series, first: int, last: int, metric: str
) -> tuple[tuple[float, float] | None, bool]:
    """95 % interval of last minus first score, and whether documents were paired."""
    before, after = series.tasks[first], series.tasks[last]
    sides = series.sides[first], series.sides[last]
    if all((side.folder / "samples").is_dir() for side in sides):
        one, other = sides[0].samples(before), sides[1].samples(after)
        values = common_values(one, other, align(one, other), metric)
        if values.rows:
            found = paired_of(values, is_macro(metric, before.aggregation))
            if found.low is not None and found.high is not None:
                return (found.low, found.high), True
    start, end = before.metrics[metric], after.metrics[metric]
    if start.stderr is None or end.stderr is None:
        return None, False
    delta, reach = end.value - start.value, Z * math.hypot(start.stderr, end.stderr)
    return (delta - reach, delta + reach), False


def _notes(sides: Sequence[RunSide], source: str, drifted: Sequence[str]) -> list[str]:
    notes = [
        "Bands are 95 % intervals of each score alone. All checkpoints answer the same documents, so that "
        "the noise between them may be smaller.",
    ]
    if source == "order":
        notes.append(
            "Steps are the numbers of the runs; give the training steps with --steps, or by names like "
            "step-1000."
        )
    if drifted:
        notes.append(f"The protocol of {', '.join(drifted)} differs between the runs.")
    numerics = dict.fromkeys(side.log.model.numerics for side in sides)
    if len(numerics) > 1:
        notes.append(f"The runs were computed in different numerics classes: {'; '.join(numerics)}.")
    same = len({side.log.model.weights_sha256 for side in sides}) < len(sides)
    if same:
        notes.append("At least two runs have the same weights.")
    return notes
