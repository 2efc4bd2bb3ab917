"""Compares the values of suites on the common documents of two runs.

Public names: `suite_comparisons`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from evalsuite.decisions.compare.document import MetricComparison, SuiteComparison, TaskComparison
from evalsuite.results.runlog import RunLog, SuiteMeanRecord
from evalsuite.stats.combined import Part, combined
from evalsuite.stats.intervals import Estimate
from evalsuite.stats.metrics import lower_is_better


def suite_comparisons(
    first: RunLog, second: RunLog, tasks: Sequence[TaskComparison]
) -> Iterator[SuiteComparison]:
    """Each mean of each suite that both runs have; its interval follows from the tasks' paired ones."""
    others = {suite.name: suite for suite in second.suites}
    by_name = {task.name: task for task in tasks}
    for suite in first.suites:
        other = others.get(suite.name)
        for name, mean in suite.means.items() if other else ():
            same = other is not None and other.sha256 == suite.sha256
            problem = "" if same else "the runs have different versions of the suite"
            yield _compared(suite.label(name), mean, by_name, problem)


def _compared(
    label: str, mean: SuiteMeanRecord, tasks: Mapping[str, TaskComparison], problem: str
) -> SuiteComparison:
    lower, count = lower_is_better(mean.metric), len(mean.terms)
    pairs = [(term, _metric(tasks.get(term.task), term.metric)) for term in mean.terms]
    lacking = [term.task for term, metric in pairs if metric is None]
    problem = problem or (f"no common documents of {', '.join(lacking)}" if lacking else "")
    whole = [(term, metric) for term, metric in pairs if metric is not None]
    if problem:
        return SuiteComparison(
            name=label, metric=mean.metric, lower_is_better=lower, tasks=count, problem=problem
        )
    delta = combined([Part(term.weight, _delta(metric), term.shared) for term, metric in whole])
    return SuiteComparison(
        name=label,
        metric=mean.metric,
        lower_is_better=lower,
        tasks=count,
        baseline=mean.offset + math.fsum(term.weight * metric.baseline for term, metric in whole),
        candidate=mean.offset + math.fsum(term.weight * metric.candidate for term, metric in whole),
        delta=delta.value,
        low=delta.low,
        high=delta.high,
    )


def _metric(task: TaskComparison | None, metric: str) -> MetricComparison | None:
    return None if task is None else task.metrics.get(metric)


def _delta(metric: MetricComparison) -> Estimate:
    return Estimate(metric.delta, metric.stderr, metric.low, metric.high, metric.n)
