"""Decides from declared fields whether a published number is comparable with a task of a run.

Public names: `reasons_against`, `Installed`.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from evalsuite.decisions.card.card import Cell
from evalsuite.decisions.card.document import Reason, ReasonKind
from evalsuite.errors import UserError
from evalsuite.prompting.spec import PromptSpec
from evalsuite.registry.registry import Registry
from evalsuite.results.runlog import TaskRecord
from evalsuite.task import Task


class Installed:
    """The tasks and prompt specs of the installed evalsuite, to check a run log against."""

    @cached_property
    def _registry(self) -> Registry:
        return Registry.load()

    def task(self, record: TaskRecord) -> Task | None:
        """The task plug-in of a record, if it is installed."""
        spec = self.spec(record.address)
        return self._registry.tasks.get(spec.plugin if spec else record.task)

    def spec(self, address: str) -> PromptSpec | None:
        """The prompt spec of an address, if it is installed."""
        try:
            return self._registry.select([address])[0].spec
        except UserError:
            return None


def reasons_against(
    cell: Cell, task: TaskRecord, installed: Installed, accept_inferred: bool = False
) -> list[Reason]:
    """Reasons why the number and the score cannot be compared; empty if no reason is known.

    Args:
        cell: the published number.
        task: the run's record.
        installed: tasks and specs of the installed evalsuite, with their data pins.
        accept_inferred: treat inferred settings as stated, and accept any candidate of an open setting and
            any recipe that agrees in all declared fields.
    """
    found = [
        *_setting(cell, task),
        *([] if accept_inferred else _knowledge(cell)),
        *_sampling(cell, task, installed),
        *_documents(cell, task, installed),
        *_data(task, installed),
        *_recipe(cell, task, installed, accept_inferred),
    ]
    if not task.metrics:
        found.insert(0, _reason("no_score", f"the task has no score in the run ({task.problem.rstrip('.')})"))
    return found


def _setting(cell: Cell, task: TaskRecord) -> list[Reason]:
    """Fields that both sides declare and that differ, and fields that the publication does not state."""
    setting = cell.setting
    compared: list[tuple[ReasonKind, Sequence[Any], Any, bool]] = [
        ("shots", setting.shots, task.shots, task.shots in setting.shots),
        ("form", setting.form, task.format, task.format in setting.form),
        (
            "metric",
            setting.metric,
            " and ".join(task.metrics or [task.headline]),
            not task.metrics or any(name in task.metrics for name in setting.metric),
        ),
        ("split", setting.split, task.split, task.split in setting.split),
    ]
    found = [
        _reason(kind, f"different {kind}: {_either(published)} published, {measured} in the run")
        for kind, published, measured, same in compared
        if published and not same
    ]
    by_rows = setting.aggregation in ("micro", "macro") and bool(task.subtasks)
    if by_rows and setting.aggregation != task.aggregation:
        found.append(
            _reason(
                "aggregation",
                f"different aggregation: {setting.aggregation} published, {task.aggregation} in the run",
            )
        )
    unstated = [str(kind) for kind, published, _, _ in compared if not published]
    if unstated:
        found.append(_reason("unstated", f"the publication does not state its {_listed(unstated, 'and')}"))
    return found


def _knowledge(cell: Cell) -> list[Reason]:
    """Open and inferred settings of the published number."""
    found = []
    for name in ("form", "metric", "split", "shots"):
        candidates = getattr(cell.setting, name)
        if len(candidates) > 1:
            found.append(_reason("undecided", f"the published {name} may be {_either(candidates)}"))
    if cell.status == "inferred":
        found.append(_reason("inferred", "the published recipe is inferred"))
    elif cell.inferred:
        verb = "are" if len(cell.inferred) > 1 else "is"
        found.append(
            _reason("inferred", f"the published {_listed(cell.inferred, 'and')} {verb} inferred, not stated")
        )
    return found


def _sampling(cell: Cell, task: TaskRecord, installed: Installed) -> list[Reason]:
    spec = installed.spec(task.address)
    if spec is None or spec.sha256 != task.prompt_sha256 or spec.generation is None:
        return []
    setting, ours = cell.setting, spec.generation
    found = []
    if setting.samples is not None and setting.samples != ours.samples:
        found.append(
            _reason(
                "sampling",
                f"different samples per document: {setting.samples} published, {ours.samples} in the run",
            )
        )
    if setting.temperature is not None and setting.temperature != ours.temperature:
        found.append(
            _reason(
                "sampling",
                f"different temperature: {setting.temperature:g} published, {ours.temperature:g} in the run",
            )
        )
    return found


def _documents(cell: Cell, task: TaskRecord, installed: Installed) -> list[Reason]:
    counts, split, spec = task.counts, task.data.get(task.split), installed.spec(task.address)
    some_members = spec is not None and bool(spec.members)
    found = []
    if split is not None and not some_members and counts.documents < split.rows:
        found.append(
            _reason("subset", f"the run covers only {counts.documents} of the split's {split.rows} documents")
        )
    elif _counts_all(cell) and (covered := _covered(cell, task, spec)) != cell.setting.documents:
        found.append(
            _reason(
                "subset", f"different documents: {cell.setting.documents} published, {covered} in the run"
            )
        )
    if counts.scored < counts.documents:
        without = counts.documents - counts.scored
        found.append(_reason("subset", f"{without} documents have no verdict in the run"))
    return found


def _covered(cell: Cell, task: TaskRecord, spec: PromptSpec | None) -> int:
    """Number of documents that the run's score covers; of a score over a subset, those of the subset."""
    over_subset = [name for name in cell.setting.metric if spec is not None and name in spec.aggregates]
    sizes = [task.metrics[name].n for name in over_subset if name in task.metrics]
    return min([task.counts.documents, *sizes])


def _counts_all(cell: Cell) -> bool:
    """Whether the number covers all documents of its task, and the card declares how many."""
    return cell.setting.documents is not None and cell.setting.aggregation != "full_subject_sizes"


def _data(task: TaskRecord, installed: Installed) -> list[Reason]:
    """Stand-ins and changed data, by the task's pins."""
    known = installed.task(task)
    if known is None:
        return []
    found = []
    for split, read in task.data.items():
        pin, stand_in = known.data.splits.get(split), known.data.stand_ins.get(split)
        if stand_in is not None and read.fingerprint == stand_in.pin.fingerprint:
            found.append(_reason("data", f"split '{split}' is a stand-in ({stand_in.config})"))
        elif pin is not None and (read.rows != pin.rows or pin.fingerprint not in (None, read.fingerprint)):
            found.append(_reason("data", f"split '{split}' differs from the pinned data"))
    if known.comparability != task.comparability:
        found.append(
            _reason(
                "data",
                f"the task has changed since the run (comparability {task.comparability}, now "
                f"{known.comparability})",
            )
        )
    return found


def _recipe(cell: Cell, task: TaskRecord, installed: Installed, accept_inferred: bool) -> list[Reason]:
    address = cell.address
    found = []
    if task.source.get("status") == "inferred" and not accept_inferred:
        found.append(_reason("inferred", "the run's recipe is inferred"))
    if not address:
        if not accept_inferred:
            found.append(
                _reason(
                    "recipe",
                    "evalsuite has no recipe that reproduces it"
                    if cell.status == "seen"
                    else "its exact prompt is not known",
                )
            )
        return found
    if task.recipe != address.partition("/")[0]:
        if not accept_inferred:
            found.append(_reason("recipe", f"the run used recipe {task.recipe}; {address} reproduces it"))
        return found
    published, spec = installed.spec(address), installed.spec(task.address)
    if published is not None and task.variant != published.variant and not accept_inferred:
        found.append(_reason("recipe", f"the run used variant {task.variant}; {address} reproduces it"))
    if spec is not None and spec.sha256 != task.prompt_sha256:
        found.append(
            _reason("prompt", f"the run's prompt spec differs from {task.address} in the installed evalsuite")
        )
    return found


def _reason(kind: ReasonKind, text: str) -> Reason:
    return Reason(kind=kind, text=text)


def _either(candidates: Sequence[Any]) -> str:
    return _listed([str(candidate) for candidate in candidates], "or")


def _listed(names: Sequence[str], word: str) -> str:
    *first, last = names
    return f"{', '.join(first)} {word} {last}" if first else last
