"""Imports lm-eval's results as a run folder: run log, samples, table.

Values that lm-eval does not write are not invented: the digests of weights and tokenizer are `unknown`
(unless evalsuite's engine answered), token counts are 0, and a task has evalsuite's prompt spec only if its
prompts were verified.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalsuite.errors import StorageError, UserError
from evalsuite.lm_eval_bridge.definition import GroupRule, find
from evalsuite.lm_eval_bridge.harness import LmEvalHarness
from evalsuite.lm_eval_bridge.imported import (
    imported_sample,
    our_document,
    our_row,
    rules,
    same_texts,
    their_document,
)
from evalsuite.lm_eval_bridge.protocol import RECIPE, group_spec, task_spec
from evalsuite.lm_eval_bridge.records import run_log_of, task_record_of
from evalsuite.lm_eval_bridge.results_files import ResultsFile, TheirSample, read_results
from evalsuite.prompting.spec import PromptSpec
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import Selected
from evalsuite.requests.prepare import prepare
from evalsuite.results.folder import RunFolder
from evalsuite.results.runlog import RunLog, TaskRecord
from evalsuite.types import Sample, gold_text


@dataclass(frozen=True)
class Imported:
    """One task of the results."""

    record: TaskRecord
    samples: list[Sample] | None
    """None if lm-eval logged no samples."""


def import_results(
    path: Path, out: Path, data_dir: Path | None = None, include: Sequence[Path] = ()
) -> RunLog:
    """Write the run folder `out` and return its log.

    Args:
        path: `results_*.json`, or a folder with one.
        out: a folder that does not exist yet, or is empty.
        data_dir: datasets, to verify that a task's prompts are those of evalsuite's spec.
        include: YAML files of lm-eval's `--include_path`, or folders of them.

    Raises:
        UserError: the files are damaged or not lm-eval's, or the folder is in use.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StorageError(f"{out} exists already; choose another --out folder.")
    file = read_results(path)
    try:
        tasks = list(_tasks(file, Registry.load(include), LmEvalHarness(include), data_dir))
        log = run_log_of(file, [task.record for task in tasks])
    except (
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        reason = " ".join(str(error).split())
        raise StorageError(
            f"{file.path} does not have lm-eval's format: {type(error).__name__}: {reason}."
        ) from error
    folder = RunFolder(out)
    with folder.opened(log.spec):
        logged = {task.record.name: task.samples for task in tasks if task.samples is not None}
        folder.write_results(log, logged)
    return log


def _tasks(
    file: ResultsFile, registry: Registry, harness: LmEvalHarness, data_dir: Path | None
) -> Iterator[Imported]:
    groups = file.groups
    # The installed lm-eval scores other groups differently, or does not know them (evalsuite's suites).
    rules = {name: rule for name, members in groups.items() if (rule := _rule(harness, name, members))}
    outermost = file.outermost(rules)
    for name in outermost:
        yield _task(file, registry, name, groups[name], rules[name], data_dir)
    grouped = {member for name in outermost for member in groups[name]}
    for name in file.content["configs"]:
        if name not in grouped:
            yield _task(file, registry, name, [name], None, data_dir)


def _rule(harness: LmEvalHarness, name: str, members: Sequence[str]) -> GroupRule | None:
    if name not in harness.names:
        return None
    try:
        found = list(find(name, harness.names))
    except UserError:
        return None
    same = len(found) == 1 and {definition.task_name for definition in found[0][1]} == set(members)
    return found[0][2] if same else None


def _task(
    file: ResultsFile,
    registry: Registry,
    name: str,
    members: Sequence[str],
    rule: GroupRule | None,
    data_dir: Path | None,
) -> Imported:
    configs = {member: file.content["configs"][member] for member in members}
    shots = max(int(file.content["n-shot"].get(member) or 0) for member in members)
    logged = {member: file.samples(member) for member in members}
    theirs = (
        group_spec(name, configs, shots, rule, file.version)
        if rule
        else task_spec(name, configs[name], shots, file.version)
    )
    if any(samples is None for samples in logged.values()):
        return Imported(task_record_of(file, _selected_as(theirs, registry), configs, None), None)
    known = {member: samples for member, samples in logged.items() if samples is not None}
    ours = _our_spec(registry, name, shots)
    if ours is not None and (samples := _as_ours(ours, known, configs)) is not None:
        if _asked_alike(ours, samples, data_dir):
            return Imported(task_record_of(file, ours, configs, samples), samples)
        selected = replace(ours, spec=theirs)
        return Imported(task_record_of(file, selected, configs, samples, _UNSEEN), samples)
    samples = _as_theirs(theirs, known, configs, is_group=rule is not None)
    return Imported(task_record_of(file, _selected_as(theirs, registry), configs, samples), samples)


_UNSEEN = (
    "the prompts were not compared with those of evalsuite's spec (give --data to compare them), so that a "
    "comparison with a run of evalsuite needs --allow-protocol-drift"
)


def _our_spec(registry: Registry, name: str, shots: int) -> Selected | None:
    if (RECIPE, name, "") not in registry.forms():
        return None
    try:
        return registry.select([f"{RECIPE}/{name}@{shots}"])[0]
    except UserError:
        return None


def _selected_as(spec: PromptSpec, registry: Registry) -> Selected:
    """The task as an evalsuite run selects it."""
    address = f"{RECIPE}/{spec.task}@{spec.shots.count}"
    try:
        return replace(registry.select([address])[0], spec=spec)
    except UserError:  # Not in the installed lm-eval, or from a user's YAML file.
        task = registry.tasks[next(iter(registry.tasks))]
        return Selected(
            f"{RECIPE}/{spec.task}", replace(task, name=spec.task, chance=None, comparability=1), spec
        )


def _as_ours(
    selected: Selected, logged: Mapping[str, Sequence[TheirSample]], configs: Mapping[str, Any]
) -> list[Sample] | None:
    """Samples with the documents of our task plug-in; None if one cannot be read from lm-eval's."""
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
    """Whether our spec renders exactly the prompts that lm-eval logged."""
    try:
        prepared = prepare(selected, data_dir=data_dir)
    except UserError:
        return False
    task = selected.spec.task
    keys = [document.key(task) for document in prepared.documents]
    needed = {sample.document.key(task) for sample in samples}
    prompts = {key: prepared.prompt(index) for index, key in enumerate(keys) if key in needed}
    return same_texts(samples, prompts, task)
