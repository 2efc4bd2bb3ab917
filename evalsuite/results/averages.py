"""Averages over the tasks of a recipe."""

from collections.abc import Sequence
from typing import Literal

from evalsuite.results.runlog import Average, MetricRecord, TaskRecord
from evalsuite.stats.intervals import Estimate, weighted_estimate
from evalsuite.stats.metrics import lower_is_better


def averages(tasks: Sequence[TaskRecord]) -> tuple[Average, ...]:
    """Each averaged recipe's mean of chance-centred scores, and its mean of bits per byte.

    All tasks have the same weight and count as independent samples. If a task has several forms, the first
    one counts. There is no average if a task has no score, or if there is only one task.
    """
    found: list[Average] = []
    for recipe in dict.fromkeys(task.recipe for task in tasks if task.averaged):
        mine = [task for task in tasks if task.averaged and task.recipe == recipe]
        losses = [task for task in mine if task.headline == "bits_per_byte"]
        scores = _one_form_each([task for task in mine if not lower_is_better(task.headline)])
        if _can_average(scores):
            found.append(_average(recipe, "centred", scores))
        if _can_average(losses):
            found.append(_average(recipe, "bits_per_byte", losses))
    return tuple(found)


def _can_average(tasks: Sequence[TaskRecord]) -> bool:
    return len(tasks) > 1 and all(task.metrics for task in tasks)


def _one_form_each(tasks: Sequence[TaskRecord]) -> list[TaskRecord]:
    first: dict[str, TaskRecord] = {}
    for task in tasks:
        first.setdefault(task.task, task)
    return list(first.values())


def _average(
    recipe: str, metric: Literal["centred", "bits_per_byte"], tasks: Sequence[TaskRecord]
) -> Average:
    estimate = weighted_estimate([_centred(task) for task in tasks])
    score = MetricRecord(
        value=estimate.value, stderr=estimate.stderr, low=estimate.low, high=estimate.high, n=estimate.n
    )
    return Average(recipe=recipe, metric=metric, score=score, tasks=tuple(task.name for task in tasks))


def _centred(task: TaskRecord) -> Estimate:
    """The headline score rescaled so that chance is 0 and all correct is 1; a loss is not rescaled."""
    score = task.metrics[task.headline]
    chance = 0.0 if lower_is_better(task.headline) else task.chance or 0.0
    scale = 1 / (1 - chance)
    stderr = None if score.stderr is None else scale * score.stderr
    return Estimate(scale * (score.value - chance), stderr, None, None, score.n)
