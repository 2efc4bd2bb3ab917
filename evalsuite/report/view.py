"""One run for the template: scores, member tasks, calibration, facts.

Public names: `RunView`, `run_view`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from evalsuite.report.calibration import Calibration, calibration
from evalsuite.report.marks import DASH, Mark, count, duration, in_points, score_mark, span
from evalsuite.report.source import RunSource, TaskSource
from evalsuite.results.runlog import BestForm, RunLog, TaskRecord
from evalsuite.results.tables import best_form_metric, remarks
from evalsuite.stats.intervals import mean_estimate
from evalsuite.stats.metrics import lower_is_better


@dataclass(frozen=True)
class ScoreLine:
    """One metric of one task."""

    task: str
    first: bool
    """Whether it is the task's first line."""
    record: TaskRecord
    metric: str
    score: str
    stderr: str
    interval: str
    mark: Mark | None


@dataclass(frozen=True)
class SuiteLine:
    """One mean of one suite."""

    name: str
    title: str
    metric: str
    tasks: int
    score: str
    stderr: str
    interval: str
    mark: Mark | None
    problem: str


@dataclass(frozen=True)
class Member:
    """A member task (subject) and its headline score."""

    key: str
    """Full name of the member task."""
    name: str
    n: int
    score: str
    interval: str
    mark: Mark | None
    value: float


@dataclass(frozen=True)
class TaskPlot:
    """Member tasks of one task, best first."""

    task: str
    metric: str
    members: tuple[Member, ...]


@dataclass(frozen=True)
class CalibrationPlot:
    """Reliability of one task."""

    task: str
    result: Calibration


@dataclass(frozen=True)
class RunView:
    """One run."""

    label: str
    source: RunSource
    scores: tuple[ScoreLine, ...]
    suites: tuple[SuiteLine, ...]
    remarks: tuple[str, ...]
    plots: tuple[TaskPlot, ...]
    calibrations: tuple[CalibrationPlot, ...]
    totals: Mapping[str, str]
    facts: Mapping[str, str]


def run_view(source: RunSource) -> RunView:
    """The view of one run."""
    log = source.log
    return RunView(
        label=source.label,
        source=source,
        scores=(
            *(line for task in log.tasks for line in _score_lines(task)),
            *(_best_form_line(log, best) for best in log.best_forms),
        ),
        suites=tuple(_suite_lines(log)),
        remarks=tuple(remarks(log)),
        plots=tuple(plot for task in source.tasks if (plot := _plot(task)) is not None),
        calibrations=tuple(
            CalibrationPlot(task.record.name, found)
            for task in source.tasks
            if (found := calibration(_choice_questions(task))) is not None
        ),
        totals=_totals(source),
        facts=_facts(source),
    )


def _score_lines(task: TaskRecord) -> Iterator[ScoreLine]:
    if not task.metrics:
        yield ScoreLine(task.name, True, task, task.headline, DASH, DASH, DASH, None)
    for index, (name, metric) in enumerate(task.metrics.items()):
        loss = lower_is_better(name)
        yield ScoreLine(
            task=task.name,
            first=index == 0,
            record=task,
            metric=name,
            score=in_points(metric.value, loss=loss),
            stderr=in_points(metric.stderr, loss=loss),
            interval=span(metric.low, metric.high, loss=loss),
            mark=None if loss else score_mark(metric.value, metric.low, metric.high, task.chance),
        )


def _suite_lines(log: RunLog) -> Iterator[SuiteLine]:
    for suite in log.suites:
        for name, mean in suite.means.items():
            score, loss = mean.score, lower_is_better(mean.metric)
            yield SuiteLine(
                name=suite.label(name),
                title=mean.title or suite.title,
                metric=mean.metric,
                tasks=len(mean.terms),
                score=in_points(score.value, loss=loss) if score else DASH,
                stderr=in_points(score.stderr, loss=loss) if score else DASH,
                interval=span(score.low, score.high, loss=loss) if score else DASH,
                mark=score_mark(score.value, score.low, score.high, None) if score and not loss else None,
                problem=mean.problem,
            )


def _best_form_line(log: RunLog, best: BestForm) -> ScoreLine:
    [line] = [line for line in _score_lines(log.task(best.chosen)) if line.metric == best.metric]
    return replace(line, task=best.name, first=True, metric=best_form_metric(log, best))


def _plot(task: TaskSource) -> TaskPlot | None:
    metric, groups = task.record.headline, dict[str, list[int]]()
    values = task.values(metric)
    for row in values:
        groups.setdefault(task.samples.subtasks[row], []).append(row)
    if len(groups) < 2:
        return None
    members = [_member(name, task, rows, values, metric) for name, rows in groups.items()]
    sign = 1 if lower_is_better(metric) else -1
    members.sort(key=lambda member: (sign * member.value, member.name))
    return TaskPlot(task.record.name, metric, tuple(members))


def _member(
    name: str, task: TaskSource, rows: Sequence[int], values: Mapping[int, float], metric: str
) -> Member:
    labels = [task.samples.clusters[row] for row in rows]
    estimate = mean_estimate(
        [values[row] for row in rows], [label or "" for label in labels] if any(labels) else None
    )
    loss = lower_is_better(metric)
    return Member(
        key=name,
        name=name.removeprefix(f"{task.record.task}_").replace("_", " ") or name,
        n=len(rows),
        score=in_points(estimate.value, loss=loss, digits=1),
        interval=span(estimate.low, estimate.high, loss=loss),
        mark=None if loss else score_mark(estimate.value, estimate.low, estimate.high, task.record.chance),
        value=estimate.value,
    )


def _choice_questions(task: TaskSource) -> Iterator[tuple[list[float], int]]:
    """Log-likelihoods and index of the correct choice, for documents that were scored by their choices."""
    columns = zip(
        task.samples.statuses,
        task.answers["log_likelihoods"],
        task.answers["continuations"],
        task.answers["gold"],
        strict=True,
    )
    for status, scores, choices, gold in columns:
        whole = status == "scored" and len(scores) == len(choices) > 1 and (gold or "").isdecimal()
        if whole and int(gold) < len(choices):
            yield [math.nan if nats is None else nats for nats in scores], int(gold)


def _totals(source: RunSource) -> dict[str, str]:
    log = source.log
    documents = sum(task.counts.documents for task in log.tasks)
    tokens = sum(task.tokens for task in log.tasks)
    engine = sum(task.seconds for task in log.tasks)
    totals = {"Documents": count(documents), "Wall time": duration(log.seconds)}
    if tokens and engine:
        totals |= {
            "Tokens computed": count(tokens),
            "Throughput": f"{count(tokens / engine)} tokens/s",
            "Pace": f"{documents / engine:.3g} documents/s",
        }
    return totals


def _facts(source: RunSource) -> dict[str, str]:
    log, spec = source.log, source.log.spec
    limit = "all" if spec.limit is None else f"the first {spec.limit} per task"
    if spec.sample is not None:
        limit = f"{spec.sample} per task, drawn by seed {spec.seed}"
    return {
        "Model": log.model.id + (f" @ {log.model.revision}" if log.model.revision else ""),
        "Weights SHA-256": log.model.weights_sha256,
        "Tokenizer SHA-256": log.model.tokenizer_sha256,
        "Numerics": log.model.numerics,
        "Engine, device, dtype": f"{spec.engine}, {spec.device}, {spec.dtype}",
        "Documents": limit,
        "Seed of sampling": str(spec.seed),
        "Inputs SHA-256": log.inputs_sha256,
        "Started": log.started.replace("T", " ").replace("+00:00", " UTC"),
        "Status": log.status,
        "evalsuite": log.evalsuite_version,
        **{name: text for name, text in log.environment.items() if name != "evalsuite"},
    }
