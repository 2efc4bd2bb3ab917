"""Averages over the tasks of a recipe."""

from collections.abc import Sequence

from evalsuite.results.runlog import Average, MetricRecord, TaskRecord
from evalsuite.stats.intervals import Estimate, weighted_estimate
from evalsuite.stats.metrics import lower_is_better


def averages(tasks: Sequence[TaskRecord]) -> tuple[Average, ...]:
    """For each recipe that is averaged: the mean of its chance-centred scores, and of its bits per byte.

    Tasks weigh alike, and count as independent samples. Of a task in several forms the first counts. There is
    no average while one of its tasks has no score, nor of a single task.
    """
    found = []
    for recipe in dict.fromkeys(task.recipe for task in tasks if task.averaged):
        mine = [task for task in tasks if task.averaged and task.recipe == recipe]
        losses = [task for task in mine if task.headline == "bits_per_byte"]
        scores = _one_form_each([task for task in mine if not lower_is_better(task.headline)])
        for metric, group in (("centred", scores), ("bits_per_byte", losses)):
            if len(group) > 1 and all(task.metrics for task in group):
                found.append(_average(recipe, metric, group))
    return tuple(found)


def _one_form_each(tasks: Sequence[TaskRecord]) -> list[TaskRecord]:
    first: dict[str, TaskRecord] = {}
    for task in tasks:
        first.setdefault(task.task, task)
    return list(first.values())


def _average(recipe: str, metric: str, tasks: Sequence[TaskRecord]) -> Average:
    estimate = weighted_estimate([_centred(task) for task in tasks])
    score = MetricRecord(
        value=estimate.value, stderr=estimate.stderr, low=estimate.low, high=estimate.high, n=estimate.n
    )
    return Average(recipe=recipe, metric=metric, score=score, tasks=tuple(task.name for task in tasks))  # type: ignore[arg-type]


def _centred(task: TaskRecord) -> Estimate:
    """The headline between chance (0) and all right (1); a loss as it is."""
    score = task.metrics[task.headline]
    chance = 0.0 if lower_is_better(task.headline) else task.chance or 0.0
    scale = 1 / (1 - chance)
    stderr = None if score.stderr is None else scale * score.stderr
    return Estimate(scale * (score.value - chance), stderr, None, None, score.n)
