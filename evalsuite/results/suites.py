"""Values of suites from the records of their tasks.

Public names: `suite_records`, `mean_record`.
"""

from collections.abc import Mapping, Sequence

from evalsuite.prompting.suites import Suite, SuiteMean
from evalsuite.results.runlog import MetricRecord, SuiteMeanRecord, SuiteRecord, SuiteTerm, TaskRecord
from evalsuite.stats.combined import Part, combined
from evalsuite.stats.intervals import Estimate
from evalsuite.stats.metrics import lower_is_better


def suite_records(suites: Sequence[Suite], tasks: Sequence[TaskRecord]) -> tuple[SuiteRecord, ...]:
    """The record of each suite; a mean whose tasks are missing or failed has a reason in place of a value."""
    by_address = {task.address: task for task in tasks}
    names = {task.address: task.name for task in tasks}
    return tuple(
        SuiteRecord(
            name=suite.name,
            version=suite.spec.version,
            sha256=suite.sha256,
            title=suite.spec.title,
            source=suite.spec.source.model_dump(),
            tasks=tuple(names.get(address, address) for address in suite.tasks.values()),
            means={mean.name: _mean(mean, by_address) for mean in suite.means},
        )
        for suite in suites
    )


def _mean(mean: SuiteMean, tasks: Mapping[str, TaskRecord]) -> SuiteMeanRecord:
    terms = tuple(
        SuiteTerm(
            task=term.task,
            metric=mean.spec.metric or (tasks[term.address].headline if term.address in tasks else ""),
            share=term.share,
            baseline=term.baseline,
            shared=term.shared,
        )
        for term in mean.terms
    )
    record = SuiteMeanRecord(title=mean.spec.title, metric=_unit(mean, terms), terms=terms)
    records = {term.task: tasks[term.address] for term in mean.terms if term.address in tasks}
    return mean_record(record, records)


def mean_record(mean: SuiteMeanRecord, tasks: Mapping[str, TaskRecord]) -> SuiteMeanRecord:
    """The mean with its value from records by name, or with the reason why it has none."""
    problems = list(filter(None, (_problem(term, tasks.get(term.task)) for term in mean.terms)))
    if not problems and len({lower_is_better(term.metric) for term in mean.terms}) > 1:
        problems = ["it mixes scores and losses"]
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        return mean.model_copy(update={"score": None, "problem": problems[0] + more})
    parts = [
        Part(term.weight, _estimate(tasks[term.task].metrics[term.metric]), term.shared)
        for term in mean.terms
    ]
    found = combined(parts, mean.offset)
    score = MetricRecord(value=found.value, stderr=found.stderr, low=found.low, high=found.high, n=found.n)
    partial = [term.task for term in mean.terms if tasks[term.task].problem]
    problem = f"it excludes documents of {', '.join(partial)}" if partial else ""
    return mean.model_copy(update={"score": score, "problem": problem})


def _problem(term: SuiteTerm, task: TaskRecord | None) -> str:
    if task is None:
        return f"{term.task} is not in this run"
    if not task.metrics:
        return f"{term.task} has no score"
    return "" if term.metric in task.metrics else f"{term.task} has no metric '{term.metric}'"


def _unit(mean: SuiteMean, terms: Sequence[SuiteTerm]) -> str:
    """What the value is: centred, the tasks' common metric, or a mean of several."""
    metrics = {term.metric for term in terms if term.metric}
    if mean.spec.baselines:
        return "centred"
    return metrics.pop() if len(metrics) == 1 else "score"


def _estimate(metric: MetricRecord) -> Estimate:
    return Estimate(metric.value, metric.stderr, metric.low, metric.high, metric.n)
