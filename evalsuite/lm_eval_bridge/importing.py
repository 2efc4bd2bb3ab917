"""lm-eval's results as a run folder: run log, samples, table.

What lm-eval does not write is not made up: the digests of weights and tokenizer are `unknown` (unless our engine
answered), token counts are 0, and a task's prompt spec is ours only where the prompts are seen to be.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from evalsuite.data.fingerprint import fingerprint
from evalsuite.errors import StorageError, UserError
from evalsuite.lm_eval_bridge.definition import GroupRule, find
from evalsuite.lm_eval_bridge.harness import Harness
from evalsuite.lm_eval_bridge.imported import (
    imported_sample,
    our_document,
    our_metric,
    our_row,
    rules,
    same_texts,
    their_document,
)
from evalsuite.lm_eval_bridge.protocol import RECIPE, group_spec, task_spec
from evalsuite.lm_eval_bridge.results_files import ResultsFile, TheirSample, read_results
from evalsuite.prepare import gold_text, prepare
from evalsuite.prompting.spec import PromptSpec
from evalsuite.registry import Registry, Selected
from evalsuite.results.aggregate import metric_record
from evalsuite.results.folder import RunFolder
from evalsuite.results.runlog import (
    UNKNOWN,
    Counts,
    MetricRecord,
    ModelRecord,
    RunLog,
    RunSpec,
    SplitRecord,
    SubtaskRecord,
    TaskRecord,
)
from evalsuite.types import Sample, sha256_of

CLOSE = 1e-6
"""Two spellings of one score."""


@dataclass(frozen=True)
class Imported:
    """One task of the results."""

    record: TaskRecord
    samples: list[Sample] | None
    """None where lm-eval logged none."""


def import_results(
    path: Path, out: Path, data_dir: Path | None = None, include: Sequence[Path] = ()
) -> RunLog:
    """Write the run folder `out` and return its log.

    Args:
        path: `results_*.json`, or a folder with one.
        out: a folder that is not there yet, or empty.
        data_dir: data sets, to see whether a task was asked as our spec of it asks.
        include: YAML files that lm-eval had by `--include_path`, or folders of them.

    Raises:
        UserError: the files are damaged or not lm-eval's, or the folder is taken.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StorageError(f"{out} is there already; choose another --out folder.")
    file = read_results(path)
    try:
        tasks = list(_tasks(file, Registry.load(include), Harness(include), data_dir))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StorageError(
            f"{file.path} is not as lm-eval writes it: {type(error).__name__}: {error}."
        ) from error
    log = _log(file, [one.record for one in tasks])
    folder = RunFolder(out)
    with folder.opened(log.spec):
        folder.write_results(log, {one.record.name: one.samples for one in tasks if one.samples is not None})
    return log


def _tasks(
    file: ResultsFile, registry: Registry, harness: Harness, data_dir: Path | None
) -> Iterator[Imported]:
    for name, members in file.groups.items():
        rule = _rule(harness, name, members)
        if rule is None:  # A group that the installed lm-eval scores in another way, or does not know.
            for member in members:
                yield _task(file, registry, member, [member], None, data_dir)
        else:
            yield _task(file, registry, name, members, rule, data_dir)
    for name in file.single_tasks:
        yield _task(file, registry, name, [name], None, data_dir)


def _rule(harness: Harness, name: str, members: Sequence[str]) -> GroupRule | None:
    if name not in harness.names:
        return None
    try:
        found = list(find(name, harness.names))
    except UserError:
        return None
    same = len(found) == 1 and {one.task_name for one in found[0][1]} == set(members)
    return found[0][2] if same else None


def _task(
    file: ResultsFile,
    registry: Registry,
    name: str,
    members: Sequence[str],
    rule: GroupRule | None,
    data_dir: Path | None,
) -> Imported:
    configs = {one: file.content["configs"][one] for one in members}
    shots = max(int(file.content["n-shot"].get(one) or 0) for one in members)
    logged = {one: file.samples(one) for one in members}
    theirs = (
        group_spec(name, configs, shots, rule, file.version)
        if rule
        else task_spec(name, configs[name], shots, file.version)
    )
    if any(one is None for one in logged.values()):
        return Imported(_record(file, _selected_as(theirs, registry), configs, None), None)
    known = {one: samples for one, samples in logged.items() if samples is not None}
    ours = _our_spec(registry, name, shots)
    if ours is not None and (samples := _as_ours(ours, known, configs)) is not None:
        if _asked_alike(ours, samples, data_dir):
            return Imported(_record(file, ours, configs, samples), samples)
        selected = replace(ours, spec=theirs)
        return Imported(_record(file, selected, configs, samples, _UNSEEN), samples)
    samples = _as_theirs(theirs, known, configs, is_group=rule is not None)
    return Imported(_record(file, _selected_as(theirs, registry), configs, samples), samples)


_UNSEEN = (
    "the prompts were not seen to be those of evalsuite's own spec (give --data to have them compared), so that a "
    "comparison with it needs --allow-protocol-drift"
)


def _our_spec(registry: Registry, name: str, shots: int) -> Selected | None:
    if (RECIPE, name, "") not in registry.forms():
        return None
    try:
        return registry.select([f"{RECIPE}/{name}@{shots}"])[0]
    except UserError:
        return None


def _selected_as(spec: PromptSpec, registry: Registry) -> Selected:
    """The name under which a run of ours has the same task."""
    address = f"{RECIPE}/{spec.task}@{spec.shots.count}"
    try:
        return replace(registry.select([address])[0], spec=spec)
    except UserError:  # Not in the installed lm-eval, or of a user's own YAML file.
        task = registry.tasks[next(iter(registry.tasks))]
        return Selected(
            f"{RECIPE}/{spec.task}", replace(task, name=spec.task, chance=None, comparability=1), spec
        )


def _as_ours(
    selected: Selected, logged: Mapping[str, Sequence[TheirSample]], configs: Mapping[str, Any]
) -> list[Sample] | None:
    """Samples on the documents that our task plug-in has; None where one cannot be read from lm-eval's."""
    found: list[Sample] = []
    for member, samples in logged.items():
        rule = rules(configs[member])
        for sample in samples:
            row = our_row(sample.doc, selected.task, configs[member])
            if row is None:
                return None
            document = our_document(row, len(found), sample.doc_id, selected.spec, selected.task)
            found.append(imported_sample(document, sample, selected.spec, rule, gold_text(document)))
    return found


def _as_theirs(
    spec: PromptSpec, logged: Mapping[str, Sequence[TheirSample]], configs: Mapping[str, Any], is_group: bool
) -> list[Sample]:
    found: list[Sample] = []
    for member, samples in logged.items():
        rule = rules(configs[member])
        for sample in samples:
            document = their_document(sample, len(found), member if is_group else "", configs[member])
            found.append(imported_sample(document, sample, spec, rule, gold_text(document)))
    return found


def _asked_alike(selected: Selected, samples: Sequence[Sample], data_dir: Path | None) -> bool:
    """Whether our spec, rendered here, gives the very prompts that lm-eval logged."""
    try:
        prepared = prepare(selected, data_dir=data_dir)
    except UserError:
        return False
    task = selected.spec.task
    keys = [document.key(task) for document in prepared.documents]
    wanted = {sample.document.key(task) for sample in samples}
    prompts = {key: prepared.prompt(place) for place, key in enumerate(keys) if key in wanted}
    return same_texts(samples, prompts, task)


def _record(
    file: ResultsFile,
    selected: Selected,
    configs: Mapping[str, Any],
    samples: Sequence[Sample] | None,
    *notes: str,
) -> TaskRecord:
    spec = selected.spec
    first = next(iter(configs.values()))
    split = str(first.get("test_split") or first.get("validation_split") or "unknown")
    stated = _stated(file, spec.task, list(configs), spec)
    metrics = stated if samples is None else _metrics(samples, spec, stated)
    differing = [
        f"{name} is {metrics[name].value:.6g} by its samples and {one.value:.6g} in the results file"
        for name, one in stated.items()
        if name in metrics and not math.isclose(metrics[name].value, one.value, rel_tol=CLOSE, abs_tol=CLOSE)
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
        notes=(f"evaluated by lm-eval {file.version} and imported from {file.path.name}", *notes, *differing),
    )


def _stated(
    file: ResultsFile, name: str, members: Sequence[str], spec: PromptSpec
) -> dict[str, MetricRecord]:
    """The scores as the results file has them, by our name."""
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
        found[our_metric(metric, filter_name, spec)] = MetricRecord(
            value=float(value), stderr=error, low=None, high=None, n=count
        )
    return found


def _metrics(
    samples: Sequence[Sample], spec: PromptSpec, stated: Mapping[str, MetricRecord]
) -> dict[str, MetricRecord]:
    """With our errors and intervals where the score is a mean over documents, else as the file has them."""
    found = {}
    for name in dict.fromkeys([*(one for one in spec.metrics if one in stated), *stated]):
        having = [one for one in samples if name in one.metrics]
        is_mean = len(having) == len(samples) and not any(name in one.parts for one in samples)
        found[name] = metric_record(having, name, spec.aggregation) if is_mean else stated[name]
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
            },
        )
        for subtask, group in groups.items()
    }


def _data(
    file: ResultsFile, configs: Mapping[str, Any], samples: Sequence[Sample] | None, split: str
) -> dict[str, SplitRecord]:
    """The evaluated split, where all of it was logged."""
    if not samples or not all(file.is_whole(one) for one in configs):
        return {}
    rows = [sample.document.row for sample in samples]
    return {split: SplitRecord(rows=len(rows), fingerprint=fingerprint(rows), source="lm-eval's samples")}


def _log(file: ResultsFile, tasks: Sequence[TaskRecord]) -> RunLog:
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
        notes.append("The digests of weights and tokenizer are not known: lm-eval does not write them.")
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
        started=datetime.fromtimestamp(float(file.content.get("date") or 0), UTC).isoformat(
            timespec="seconds"
        ),
        seconds=round(float(file.content.get("total_evaluation_time_seconds") or 0), 3),
        tasks=tuple(tasks),
        notes=tuple(notes),
    )
