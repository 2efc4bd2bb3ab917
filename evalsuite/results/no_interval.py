"""Why a score has no interval, in words.

Public names: `task_interval_remark`, `suite_interval_remark`.
"""

from collections.abc import Mapping

from evalsuite.results.runlog import MetricRecord, SuiteMeanRecord, TaskRecord
from evalsuite.stats.metrics import is_macro


def task_interval_remark(task: TaskRecord) -> str:
    """Why a score of the task has no interval: the first that has none; empty if all have one."""
    for name, metric in task.metrics.items():
        if _lacks(metric) and (reason := _reason(task, name, metric)):
            which = "" if name == task.headline else f" of {name}"
            return f"no interval{which}: {reason}"
    return ""


def suite_interval_remark(mean: SuiteMeanRecord, tasks: Mapping[str, TaskRecord]) -> str:
    """Which task takes the interval from a mean; empty if the mean has one, or has no value."""
    if mean.score is None or not _lacks(mean.score):
        return ""
    scores = {
        term.task: tasks[term.task].metrics.get(term.metric) for term in mean.terms if term.task in tasks
    }
    lacking = [name for name, metric in scores.items() if metric is not None and _lacks(metric)]
    if not lacking:
        return "no interval"
    more = f", and nor have {len(lacking) - 1} more" if len(lacking) > 1 else ""
    return f"no interval, since {lacking[0]} has none{more}"


def _lacks(metric: MetricRecord) -> bool:
    return metric.low is None or metric.high is None


def _reason(task: TaskRecord, name: str, metric: MetricRecord) -> str:
    if metric.n == 1:
        return "a single document tells nothing of the spread"
    single = sum(one.scored == 1 for one in task.subtasks.values())
    if single and is_macro(name, task.aggregation):
        return (
            f"{single} of {len(task.subtasks)} member tasks have a single document, which tells nothing of "
            "their spread"
        )
    return "all documents have one source" if metric.clusters == 1 else ""
