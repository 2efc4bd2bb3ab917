"""The means of suites over a series of checkpoints, and which of their tasks carry signal or noise.

Public names: `suite_trends`, `suite_notes`.
"""

import math
from collections.abc import Mapping, Sequence

from evalsuite.decisions.seeds.measured import Seeds
from evalsuite.decisions.seeds.suites import suite_noise
from evalsuite.decisions.trend.document import Carries, Point, SuitePart, SuiteTrend, TaskTrend
from evalsuite.decisions.trend.judged import judged_series
from evalsuite.decisions.trend.noise import CLEAR
from evalsuite.results.read import RunSide
from evalsuite.results.runlog import SuiteMeanRecord, SuiteRecord
from evalsuite.stats.combined import Part, combined
from evalsuite.stats.intervals import Estimate
from evalsuite.stats.metrics import lower_is_better

ALPHA = 0.05
"""One-sided probability with which two equal trainings differ by more than what counts as their noise."""


def suite_trends(
    sides: Sequence[RunSide], numbers: Sequence[int], tasks: Mapping[str, TaskTrend], seeds: Seeds | None
) -> tuple[SuiteTrend, ...]:
    """Each mean of each suite that several runs have in the same version.

    Args:
        sides: the runs, by rising step.
        numbers: their steps.
        tasks: trends of the runs' tasks, by name.
        seeds: runs of several seeds; None if there are none.
    """
    found = []
    for suite in _same_in_all(sides):
        for name, mean in suite.means.items():
            logged = [
                (step, record.means[name])
                for step, side in zip(numbers, sides, strict=True)
                for record in side.log.suites
                if record.name == suite.name
            ]
            found.append(_trend(suite, name, mean, logged, tasks, seeds))
    return tuple(found)


def suite_notes(sides: Sequence[RunSide]) -> list[str]:
    """A note on suites of which the runs have different versions."""
    names = dict.fromkeys(suite.name for side in sides for suite in side.log.suites)
    differing = [name for name in names if len(_versions(sides, name)) > 1]
    return [f"The runs have different versions of the suite {name}, which is left out." for name in differing]


def _versions(sides: Sequence[RunSide], name: str) -> set[str]:
    return {suite.sha256 for side in sides for suite in side.log.suites if suite.name == name}


def _same_in_all(sides: Sequence[RunSide]) -> list[SuiteRecord]:
    first = {suite.name: suite for side in reversed(sides) for suite in side.log.suites}
    counts = [suite.name for side in sides for suite in side.log.suites]
    return [
        suite for name, suite in first.items() if len(_versions(sides, name)) == 1 and counts.count(name) > 1
    ]


def _trend(
    suite: SuiteRecord,
    name: str,
    mean: SuiteMeanRecord,
    logged: Sequence[tuple[int, SuiteMeanRecord]],
    tasks: Mapping[str, TaskTrend],
    seeds: Seeds | None,
) -> SuiteTrend:
    points = [
        Point(
            step=step,
            value=record.score.value,
            low=record.score.low,
            high=record.score.high,
            stderr=record.score.stderr,
        )
        for step, record in logged
        if record.score is not None
    ]
    chance = 0.0 if mean.metric == "centred" else None
    members = {term.task: tasks[term.task] for term in mean.terms if term.task in tasks}
    interval = _gain_interval(mean, members, points)
    paired = interval is not None and all(task.gain_paired for task in members.values())
    found = judged_series(
        suite.label(name), mean.metric, chance, lower_is_better(mean.metric), points, interval, paired
    )
    known = {one: task.seed_noise for one, task in members.items() if task.seed_noise is not None}
    noise = suite_noise(suite.label(name), mean, known, seeds)
    return SuiteTrend(
        suite=suite.name,
        mean=name,
        trend=found.model_copy(update={"seed_noise": noise}),
        parts=_parts(mean, members),
    )


def _gain_interval(
    mean: SuiteMeanRecord, tasks: Mapping[str, TaskTrend], points: Sequence[Point]
) -> tuple[float, float] | None:
    """95 % interval of the gain, from the tasks' (paired) intervals; None unless all span the same steps."""
    if len(points) < 2 or len(tasks) < len(mean.terms):
        return None
    ends = points[0].step, points[-1].step
    parts = []
    for term in mean.terms:
        task = tasks[term.task]
        if task.gain is None or (task.points[0].step, task.points[-1].step) != ends:
            return None
        gain = Estimate(task.gain, None, task.gain_low, task.gain_high, len(task.points))
        parts.append(Part(term.weight, gain, term.shared))
    found = combined(parts)
    return None if found.low is None or found.high is None else (found.low, found.high)


def _parts(mean: SuiteMeanRecord, tasks: Mapping[str, TaskTrend]) -> tuple[SuitePart, ...]:
    """Each task's share in the mean's gain and noise; shares of noise are those of the variance."""
    spreads = {term.task: term.weight * _spread(tasks.get(term.task)) for term in mean.terms}
    variance = math.fsum(spread**2 for spread in spreads.values() if math.isfinite(spread))
    return tuple(
        SuitePart(
            task=term.task,
            gain=None if (gain := _gain(tasks.get(term.task))) is None else term.weight * gain,
            noise=spreads[term.task] if math.isfinite(spreads[term.task]) else None,
            noise_share=spreads[term.task] ** 2 / variance
            if variance and math.isfinite(spreads[term.task])
            else None,
            carries=_carries(tasks.get(term.task)),
        )
        for term in mean.terms
    )


def _gain(task: TaskTrend | None) -> float | None:
    return None if task is None else task.gain


def _spread(task: TaskTrend | None) -> float:
    """Standard deviation between seeds, else between checkpoints; NaN if neither is known."""
    if task is None:
        return math.nan
    spread = task.noise if task.seed_noise is None else task.seed_noise.sd
    return math.nan if spread is None else spread


def _carries(task: TaskTrend | None) -> Carries:
    """signal: the gain is more than two equal trainings (or two checkpoints) differ by chance."""
    if task is None or task.gain is None or not math.isfinite(_spread(task)):
        return "unknown"
    gain = -task.gain if task.lower_is_better else task.gain
    by_chance = (
        CLEAR * math.sqrt(2) * _spread(task) if task.seed_noise is None else task.seed_noise.apart(ALPHA)
    )
    return "signal" if gain > by_chance else "noise"
