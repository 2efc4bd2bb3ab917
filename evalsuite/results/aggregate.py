"""From samples to the record of a task."""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace

from evalsuite.registry.selected import ForeignScoring, PreparedTask, Selected
from evalsuite.requests.build import DocumentRequests
from evalsuite.results.rounding import rounding_at
from evalsuite.results.runlog import Counts, MetricRecord, SplitRecord, SubtaskRecord, TaskRecord
from evalsuite.stats.intervals import Estimate, macro_estimate, mean_estimate, weighted_estimate
from evalsuite.stats.repeats import VarianceSplit, metric_split
from evalsuite.types import Generated, Sample, Score


def task_record(
    prepared: PreparedTask,
    asked: Sequence[DocumentRequests],
    samples: Sequence[Sample],
    *,
    tokens: int,
    seconds: float,
    allow_failures: bool,
    answer_notes: Sequence[str] = (),
    notes: Sequence[str] = (),
    numerics: str = "",
) -> TaskRecord:
    """The record; it has no metrics while documents are missing, unless `allow_failures`.

    Args:
        prepared: the task's documents.
        asked: what each asked of the engine.
        samples: their verdicts.
        tokens: computed for the task.
        seconds: the engine's time for it.
        allow_failures: give metrics of the documents that were scored.
        answer_notes: what a reader must know of the task's tokens and texts.
        notes: and of the verdicts.
        numerics: the class of the numbers, which tells how close choices may be to count as near ties.
    """
    selected, spec = prepared.selected, prepared.selected.spec
    scored = [sample for sample in samples if sample.status == "scored"]
    counts = _counts(prepared, asked, samples, numerics)
    problem = _problem(samples, counts)
    shown = scored if not problem or allow_failures else []
    found = _metrics(prepared, shown) if shown else {}
    metrics = {name: metric for name, metric in found.items() if metric is not None}
    endless = [f"{name} is no finite number over these documents" for name in found if name not in metrics]
    return TaskRecord(
        name=selected.name,
        address=selected.address,
        task=spec.task,
        recipe=spec.recipe,
        format=spec.format,
        variant=spec.variant,
        shots=spec.shots.count,
        split=prepared.split,
        prompt_version=spec.version,
        prompt_sha256=spec.sha256,
        comparability=selected.task.comparability,
        best_of=selected.best_of,
        averaged=selected.averaged,
        source=spec.source.model_dump(),
        chance=selected.task.chance,
        data={
            split: SplitRecord(rows=len(rows.rows), fingerprint=rows.fingerprint, source=rows.source)
            for split, rows in prepared.data.items()
        },
        counts=counts,
        headline=next((name for name in spec.metrics if name in metrics), spec.metrics[0]),
        aggregation=spec.aggregation,
        metrics=metrics,
        subtasks=_subtasks(shown, spec.metrics),
        requests=sum(len(one.requests) for one in asked),
        tokens=tokens,
        seconds=round(seconds, 3),
        notes=(*prepared.notes, *prepared.subset_notes, *answer_notes, *notes),
        answer_notes=tuple(answer_notes),
        problem="; ".join([problem, *endless] if problem else endless),
    )


def _metrics(prepared: PreparedTask, samples: Sequence[Sample]) -> dict[str, MetricRecord | None]:
    """The spec's metrics, then its scores over subsets of the documents."""
    spec, subsets = prepared.selected.spec, prepared.selected.task.subsets
    if prepared.foreign is not None:
        return _foreign_metrics(prepared.foreign, prepared.selected, samples)
    metrics = {name: metric_record(samples, name, spec.aggregation) for name in spec.metrics}
    for name, aggregate in spec.aggregates.items():
        inside = subsets[aggregate.subset]
        part = [sample for sample in samples if inside(sample.document.row)]
        if part and aggregate.weights == "documents":
            metrics[name] = metric_record(part, spec.metrics[0], "micro")
        elif part:
            metrics[name] = _weighted_by_members(part, spec.metrics[0], sizes=_grouped(samples))
    return metrics


def _foreign_metrics(
    scoring: ForeignScoring, selected: Selected, samples: Sequence[Sample]
) -> dict[str, MetricRecord | None]:
    """What the other harness's verdicts hold: of a group what its definition names, of a task all of it."""
    given = dict.fromkeys(name for one in samples for name in (*one.metrics, *one.parts))
    announced = [name for name in selected.spec.metrics if name in given]
    is_group = any(sample.document.subtask for sample in samples)
    metrics: dict[str, MetricRecord | None] = {}
    for name in announced if is_group and announced else dict.fromkeys([*announced, *given]):
        having = [one for one in samples if name in one.metrics or name in one.parts]
        try:
            value = scoring.corpus_score(name, having)
        except OverflowError:  # the exponential of a mean
            value = math.inf
        metrics[name] = (
            metric_record(having, name, selected.spec.aggregation)
            if value is None
            else MetricRecord.of_finite(value=value, n=len(having))
        )
    return metrics


def _weighted_by_members(
    samples: Sequence[Sample], name: str, sizes: dict[str, list[Sample]]
) -> MetricRecord | None:
    """Mean over member tasks, each by the number of all its documents, not of those that are averaged."""
    groups = _grouped(samples)
    estimates = [mean_estimate([one.metrics[name] for one in group]) for group in groups.values()]
    estimate = weighted_estimate(estimates, [len(sizes[subtask]) for subtask in groups])
    return MetricRecord.of_finite(**asdict(estimate))


def metric_record(samples: Sequence[Sample], name: str, aggregation: str) -> MetricRecord | None:
    """Mean of a metric over documents (`micro`), or over member tasks (`macro`), with its error and interval.

    None where it is no finite number, as the perplexity of a mean of 710 nats or more.
    """
    groups = _grouped(samples) if aggregation == "macro" else {"": samples}
    values = {subtask: [one.metrics[name] for one in group] for subtask, group in groups.items()}
    declared = any(sample.document.cluster for sample in samples)
    clusters = {subtask: [one.document.cluster for one in group] for subtask, group in groups.items()}
    try:
        estimate = asdict(_as_shown(name, macro_estimate(values, clusters if declared else None)))
    except OverflowError:
        return None
    split = _split(samples, name) if len(groups) == 1 and not declared else None
    return MetricRecord.of_finite(
        **estimate,
        problem_stderr=split.problems if split else None,
        sampling_stderr=split.sampling if split else None,
    )


def _as_shown(name: str, estimate: Estimate) -> Estimate:
    """A mean negative log-likelihood as the perplexity that it stands for; its error by the delta method."""
    if name != "perplexity":
        return estimate
    value, low, high = (
        None if one is None else _exp(one) for one in (estimate.value, estimate.low, estimate.high)
    )
    stderr = None if estimate.stderr is None else (value or 0.0) * estimate.stderr
    return replace(estimate, value=value or 0.0, stderr=stderr, low=low, high=high)


def _exp(nats: float) -> float:
    """Its exponential; infinite where a float cannot hold that."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf


def _split(samples: Sequence[Sample], name: str) -> VarianceSplit | None:
    """Problem and sampling part of the metric's standard error, where every document has several answers."""
    values = [sample.metrics[name] for sample in samples]
    return metric_split(name, values, [one.correct for one in samples], [one.extracted for one in samples])


def _subtasks(samples: Sequence[Sample], metrics: Sequence[str]) -> dict[str, SubtaskRecord]:
    return {
        subtask: SubtaskRecord(
            scored=len(group),
            metrics={
                name: mean
                for name in metrics
                if all(name in one.metrics for one in group)
                and math.isfinite(mean := sum(one.metrics[name] for one in group) / len(group))
            },
        )
        for subtask, group in _grouped(samples).items()
        if subtask
    }


def _grouped(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.document.subtask, []).append(sample)
    return groups


def _counts(
    prepared: PreparedTask, asked: Sequence[DocumentRequests], samples: Sequence[Sample], numerics: str
) -> Counts:
    texts = [one for sample in samples for one in sample.responses if isinstance(one, Generated)]
    return token_counts(prepared, asked).model_copy(
        update={
            "documents": len(samples),
            "scored": sum(sample.status == "scored" for sample in samples),
            "failed": sum(sample.status == "failed" for sample in samples),
            "too_long": sum(sample.status == "too_long" for sample in samples),
            "cut": sum(text.finish in ("length", "window") for text in texts),
            "at_window": sum(text.finish == "window" for text in texts),
            "near_ties": sum(is_near_tie(sample, numerics) for sample in samples),
        }
    )


def token_counts(prepared: PreparedTask, asked: Sequence[DocumentRequests]) -> Counts:
    """What happened to prompts on their way to tokens; nothing is scored yet."""
    return Counts(
        documents=len(prepared.documents),
        scored=0,
        shots_dropped=sum(one.shots < drawn for one, drawn in zip(asked, prepared.shots_shown, strict=False)),
        fewer_shots=sum(drawn < prepared.selected.spec.shots.count for drawn in prepared.shots_shown),
        among_shots=prepared.among_shots,
        joined=sum(one.joined and not one.problem for one in asked),
        realigned=sum(one.realigned and not one.problem for one in asked),
        scored_bos=sum(one.scores_bos for one in asked),
        shortened=sum(one.shortened for one in asked),
    )


def is_near_tie(sample: Sample, numerics: str) -> bool:
    """Whether its two best choices are closer than a class of numerics can tell apart."""
    sizes = sorted(abs(one.log_likelihood) for one in sample.responses if isinstance(one, Score))
    return sample.margin is not None and sample.margin < rounding_at(numerics, max(sizes[:2], default=0.0))


def _problem(samples: Sequence[Sample], counts: Counts) -> str:
    parts = []
    for status, count, words in (
        ("too_long", counts.too_long, "do not fit the context window"),
        ("failed", counts.failed, "were left without a verdict"),
    ):
        if count:
            first = next(sample for sample in samples if sample.status == status)
            parts.append(
                f"{count} of {counts.documents} documents {words} (document {first.document.index}: {first.reason})"
            )
    return "; ".join(parts)
