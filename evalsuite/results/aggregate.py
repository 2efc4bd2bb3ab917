"""Aggregates a task's samples into its record."""

import math
from collections.abc import Sequence
from dataclasses import asdict

from evalsuite.registry.selected import ForeignScoring, PreparedTask, Selected
from evalsuite.requests.document import DocumentRequests
from evalsuite.results.held_out import few_texts, text_metrics
from evalsuite.results.metric_record import grouped, metric_record, weighted_mean
from evalsuite.results.rounding import rounding_at
from evalsuite.results.runlog import Counts, MetricRecord, SplitRecord, SubtaskRecord, TaskRecord
from evalsuite.stats.intervals import mean_estimate, weighted_estimate
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
    """The task's record, without metrics if documents are missing, unless `allow_failures`.

    Args:
        prepared: the task's documents.
        asked: the requests of each document.
        samples: the documents' verdicts.
        tokens: tokens that the engine computed for the task.
        seconds: the engine's time for the task.
        allow_failures: report metrics over the documents that were scored.
        answer_notes: notes on the task's tokens and texts.
        notes: notes on the verdicts.
        numerics: the numerics class, which sets the margin below which two choices are a near tie.
    """
    selected, spec = prepared.selected, prepared.selected.spec
    scored = [sample for sample in samples if sample.status == "scored"]
    counts = _counts(prepared, asked, samples, numerics)
    problem = _problem(samples, counts)
    shown = scored if not problem or allow_failures else []
    computed = _metrics(prepared, shown) if shown else {}
    metrics = {name: metric for name, metric in computed.items() if metric is not None}
    not_finite = [f"{name} is not finite over these documents" for name in computed if name not in metrics]
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
        requests=sum(len(document.requests) for document in asked),
        tokens=tokens,
        seconds=round(seconds, 3),
        window=max((document.window or 0 for document in asked), default=0) or None,
        notes=(*prepared.notes, *prepared.subset_notes, *answer_notes, *notes, *few_texts(shown)),
        answer_notes=tuple(answer_notes),
        problem="; ".join([problem, *not_finite] if problem else not_finite),
    )


def _metrics(prepared: PreparedTask, samples: Sequence[Sample]) -> dict[str, MetricRecord | None]:
    """The spec's metrics, then its scores over subsets of the documents."""
    spec, subsets = prepared.selected.spec, prepared.selected.task.subsets
    if prepared.foreign is not None:
        return _foreign_metrics(prepared.foreign, prepared.selected, samples)
    if spec.format == "text":
        return text_metrics(samples)
    metrics = {name: metric_record(samples, name, spec.aggregation) for name in spec.metrics}
    for name, aggregate in spec.aggregates.items():
        inside = subsets[aggregate.subset]
        part = [sample for sample in samples if inside(sample.document.row)]
        if part and aggregate.weights == "documents":
            metrics[name] = metric_record(part, spec.metrics[0], "micro")
        elif part:
            metrics[name] = _weighted_by_members(part, spec.metrics[0], sizes=grouped(samples))
    return metrics


def _foreign_metrics(
    scoring: ForeignScoring, selected: Selected, samples: Sequence[Sample]
) -> dict[str, MetricRecord | None]:
    """Metrics of another harness's verdicts: those that a group's definition names, or all of a task's."""
    reported = dict.fromkeys(name for sample in samples for name in (*sample.metrics, *sample.parts))
    declared = [name for name in selected.spec.metrics if name in reported]
    is_group = any(sample.document.subtask for sample in samples)
    metrics: dict[str, MetricRecord | None] = {}
    for name in declared if is_group and declared else dict.fromkeys([*declared, *reported]):
        scored = [sample for sample in samples if name in sample.metrics or name in sample.parts]
        try:
            value = scoring.corpus_score(name, scored)
        except OverflowError:  # the exponential of a mean
            value = math.inf
        metrics[name] = (
            metric_record(scored, name, selected.spec.aggregation)
            if value is None
            else MetricRecord.of_finite(value=value, n=len(scored))
        )
    return metrics


def _weighted_by_members(
    samples: Sequence[Sample], name: str, sizes: dict[str, list[Sample]]
) -> MetricRecord | None:
    """Mean over member tasks, weighted by the number of all their documents, not only of those averaged."""
    groups = grouped(samples)
    estimates = [mean_estimate([sample.metrics[name] for sample in group]) for group in groups.values()]
    estimate = weighted_estimate(estimates, [len(sizes[subtask]) for subtask in groups])
    return MetricRecord.of_finite(**asdict(estimate))


def _subtasks(samples: Sequence[Sample], metrics: Sequence[str]) -> dict[str, SubtaskRecord]:
    return {
        subtask: SubtaskRecord(
            scored=len(group),
            metrics={
                name: mean
                for name in metrics
                if all(name in sample.metrics for sample in group)
                and math.isfinite(mean := weighted_mean(group, name))
            },
        )
        for subtask, group in grouped(samples).items()
        if subtask
    }


def _counts(
    prepared: PreparedTask, asked: Sequence[DocumentRequests], samples: Sequence[Sample], numerics: str
) -> Counts:
    texts = [text for sample in samples for text in sample.responses if isinstance(text, Generated)]
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
    """Counts of what encoding changed in the prompts; scores are not counted yet."""
    encoded = [document for document in asked if not document.problem]
    shown, spec = prepared.shots_shown, prepared.selected.spec
    dropped = (document.shots < drawn for document, drawn in zip(asked, shown, strict=False))
    fewer = 0 if spec.shots.exemplars else sum(drawn < spec.shots.count for drawn in shown)
    return Counts(
        documents=len(prepared.documents),
        scored=0,
        shots_dropped=sum(dropped),
        fewer_shots=fewer,
        among_shots=prepared.among_shots,
        joined=sum(document.joined for document in encoded),
        realigned=sum(document.realigned for document in encoded),
        scored_bos=sum(document.scores_bos for document in asked),
        shortened=sum(document.shortened for document in asked),
        altered=sum(document.altered for document in asked),
    )


def is_near_tie(sample: Sample, numerics: str) -> bool:
    """Whether the two best choices are closer than the rounding of a numerics class."""
    sizes = sorted(abs(score.log_likelihood) for score in sample.responses if isinstance(score, Score))
    return sample.margin is not None and sample.margin < rounding_at(numerics, max(sizes[:2], default=0.0))


def _problem(samples: Sequence[Sample], counts: Counts) -> str:
    parts = []
    for status, count, words in (
        ("too_long", counts.too_long, "do not fit the context window"),
        ("failed", counts.failed, "have no verdict"),
    ):
        if count:
            first = next(sample for sample in samples if sample.status == status)
            parts.append(
                f"{count} of {counts.documents} documents {words} (document {first.document.index}: "
                f"{first.reason})"
            )
    return "; ".join(parts)
