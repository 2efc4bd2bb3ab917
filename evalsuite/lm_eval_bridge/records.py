"""Run log and task records of imported results, with evalsuite's errors and intervals where they apply."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from evalsuite.data.fingerprint import fingerprint
from evalsuite.lm_eval_bridge.imported import our_metric
from evalsuite.lm_eval_bridge.protocol import RECIPE
from evalsuite.lm_eval_bridge.results_files import ResultsFile
from evalsuite.prompting.spec import PromptSpec
from evalsuite.registry.selected import Selected
from evalsuite.results.metric_record import metric_record
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import (
    UNKNOWN,
    Counts,
    MetricRecord,
    ModelRecord,
    RunLog,
    SplitRecord,
    SubtaskRecord,
    TaskRecord,
)
from evalsuite.types import Sample, sha256_of

CLOSE = 1e-6
"""Tolerance within which two roundings of a score are equal."""


def task_record_of(
    file: ResultsFile,
    selected: Selected,
    configs: Mapping[str, Any],
    samples: Sequence[Sample] | None,
    *notes: str,
) -> TaskRecord:
    """The record of an imported task; `samples` is None if lm-eval logged none."""
    spec = selected.spec
    first = next(iter(configs.values()))
    split = str(first.get("test_split") or first.get("validation_split") or "unknown")
    stated = _stated(file, spec.task, list(configs), spec)
    found = stated if samples is None else _metrics(samples, spec, stated)
    metrics = {name: one for name, one in found.items() if one is not None}
    differing = [
        f"{name} is {metrics[name].value:.6g} by its samples, but {one.value:.6g} in the results file"
        for name, one in stated.items()
        if one
        and name in metrics
        and not math.isclose(metrics[name].value, one.value, rel_tol=CLOSE, abs_tol=CLOSE)
    ]
    documents = len(samples) if samples is not None else sum(file.documents(one) or 0 for one in configs)
    return TaskRecord(
        name=selected.name,
        address=f"{RECIPE}/{spec.task}:{spec.variant or spec.format}@{spec.shots.count}",
        task=spec.task,
        recipe=RECIPE,
        format=spec.format,
        variant=spec.variant,
        shots=spec.shots.count,
        split=split,
        prompt_version=spec.version,
        prompt_sha256=spec.sha256,
        comparability=selected.task.comparability,
        source={**spec.source.model_dump(), "notes": f"evaluated by lm-eval {file.version}, imported"},
        chance=selected.task.chance,
        data=_data(file, configs, samples, split),
        counts=Counts(documents=documents, scored=documents),
        headline=next(
            (name for name in spec.metrics if name in metrics), next(iter(metrics), spec.metrics[0])
        ),
        aggregation=spec.aggregation,
        metrics=metrics,
        subtasks=_subtasks(samples or (), metrics),
        requests=sum(len(sample.responses) for sample in samples or ()),
        tokens=0,
        seconds=0.0,
        problem=_problem(found),
        notes=(f"evaluated by lm-eval {file.version} and imported from {file.path.name}", *notes, *differing),
    )


def _problem(metrics: Mapping[str, MetricRecord | None]) -> str:
    """The problem with the scores, as in `results.aggregate`; empty if there is none."""
    not_finite = [name for name, metric in metrics.items() if metric is None]
    if not_finite:
        return f"{', '.join(not_finite)}: not finite (NaN or infinity) in lm-eval's results"
    return "" if metrics else "lm-eval's results have no score of this task"


def _stated(
    file: ResultsFile, name: str, members: Sequence[str], spec: PromptSpec
) -> dict[str, MetricRecord | None]:
    """The scores in the results file, by our name; None for a score that is not finite."""
    results = {**file.content["results"], **(file.content.get("groups") or {})}
    fields = results.get(name) or (results.get(members[0], {}) if len(members) == 1 else {})
    count = sum(file.documents(one) or 0 for one in members)
    found = {}
    for key, value in fields.items():
        metric, _, filter_name = key.partition(",")
        if not filter_name or metric.endswith("_stderr") or isinstance(value, str | bool):
            continue
        stderr = fields.get(f"{metric}_stderr,{filter_name}")
        error = float(stderr) if isinstance(stderr, int | float) and math.isfinite(stderr) else None
        found[our_metric(metric, filter_name, spec)] = MetricRecord.of_finite(
            value=float(value), stderr=error, n=count
        )
    return found


def _metrics(
    samples: Sequence[Sample], spec: PromptSpec, stated: Mapping[str, MetricRecord | None]
) -> dict[str, MetricRecord | None]:
    """The scores, with our errors and intervals for means over documents, else as in the file.

    A score that is not a number in the file remains None, also if its samples have values.
    """
    found = {}
    for name in dict.fromkeys([*(one for one in spec.metrics if one in stated), *stated]):
        having = [one for one in samples if name in one.metrics]
        is_mean = len(having) == len(samples) and not any(
            name in one.parts and (name not in one.weights or one.document.subtask) for one in samples
        )
        by_samples = is_mean and stated[name] is not None
        found[name] = metric_record(having, name, spec.aggregation) if by_samples else stated[name]
    return found


def _subtasks(samples: Sequence[Sample], metrics: Mapping[str, MetricRecord]) -> dict[str, SubtaskRecord]:
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.document.subtask:
            groups.setdefault(sample.document.subtask, []).append(sample)
    return {
        subtask: SubtaskRecord(
            scored=len(group),
            metrics={
                name: sum(one.metrics[name] for one in group) / len(group)
                for name in metrics
                if all(name in one.metrics for one in group)
                and all(math.isfinite(one.metrics[name]) for one in group)
            },
        )
        for subtask, group in groups.items()
    }


def _data(
    file: ResultsFile, configs: Mapping[str, Any], samples: Sequence[Sample] | None, split: str
) -> dict[str, SplitRecord]:
    """The evaluated split, if all of it was logged."""
    if not samples or not all(file.is_whole(one) for one in configs):
        return {}
    rows = [sample.document.row for sample in samples]
    return {split: SplitRecord(rows=len(rows), fingerprint=fingerprint(rows), source="lm-eval's samples")}


def _date(seconds: Any) -> str:
    """The date in UTC, ISO 8601; the epoch if the file has no date."""
    try:
        return datetime.fromtimestamp(float(seconds or 0), UTC).isoformat(timespec="seconds")
    except (ValueError, TypeError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC).isoformat(timespec="seconds")


def run_log_of(file: ResultsFile, tasks: Sequence[TaskRecord]) -> RunLog:
    """The run log of imported tasks."""
    settings, arguments = file.settings, file.model_arguments
    model = str(
        file.content.get("model_name") or arguments.get("pretrained") or settings.get("model") or UNKNOWN
    )
    dtype = str(settings.get("model_dtype") or arguments.get("dtype") or UNKNOWN).removeprefix("torch.")
    device = str(settings.get("device") or arguments.get("device") or UNKNOWN).partition(":")[0]
    limit = settings.get("limit")
    whole_limit = int(limit) if isinstance(limit, int | float) and limit >= 1 else None
    numerics = str(settings.get("model_numerics") or f"lm-eval {settings.get('model')} {dtype} {device}")
    digests = {
        "weights_sha256": str(settings.get("model_weights_sha256") or UNKNOWN),
        "tokenizer_sha256": str(settings.get("model_tokenizer_sha256") or UNKNOWN),
    }
    notes = [f"Evaluated by lm-eval {file.version} and imported from {file.path.name}."]
    if digests["weights_sha256"] == UNKNOWN:
        notes.append("The digests of weights and tokenizer are unknown, since lm-eval does not write them.")
    environment = {
        "lm-eval": file.version,
        "transformers": str(file.content.get("transformers_version") or ""),
    }
    return RunLog(
        evalsuite_version=metadata.version("evalsuite"),
        status="complete" if all(task.metrics for task in tasks) else "incomplete",
        spec=RunSpec(
            tasks=tuple(task.address for task in tasks),
            model=model,
            revision=str(settings.get("model_revision") or arguments.get("revision") or "") or None,
            limit=whole_limit,
            engine="lm-eval",
            dtype=dtype,
            device=device,
        ),
        inputs_sha256=sha256_of(["imported", sha256_of(file.path.read_text("utf-8"))]),
        model=ModelRecord(
            id=model, revision=str(settings.get("model_sha") or "") or None, numerics=numerics, **digests
        ),
        environment={name: version for name, version in environment.items() if version},
        started=_date(file.content.get("date")),
        seconds=round(float(file.content.get("total_evaluation_time_seconds") or 0), 3),
        tasks=tuple(tasks),
        notes=tuple(notes),
    )
