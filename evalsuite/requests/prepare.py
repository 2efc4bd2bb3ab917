"""Prepares a selected task: loads its documents and draws their shots, without a model."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from evalsuite.data import load_split
from evalsuite.data.subset import ALL, Subset
from evalsuite.errors import DataError, UserError
from evalsuite.prompting.fewshot import draw_shots
from evalsuite.prompting.spec import DocumentsSpec
from evalsuite.registry.selected import PreparedTask, Selected
from evalsuite.task import question_of, reading
from evalsuite.types import (
    Document,
    Row,
)


def prepare(
    selected: Selected,
    *,
    data_dir: Path | None = None,
    split: str | None = None,
    subset: Subset = ALL,
    allow_drift: bool = False,
) -> PreparedTask:
    """Load the data of a task, read its documents and draw their shots.

    Args:
        selected: task and prompt spec.
        data_dir: folder in Hugging Face layout that is searched first.
        split: split to evaluate, in place of the spec's.
        subset: the documents to evaluate.
        allow_drift: accept rows that differ from the pinned data, with a note.

    Raises:
        DataError: rows are missing, differ from the pinned data, or cannot be read as questions.
    """
    task, spec = selected.task, selected.spec
    if selected.foreign is not None:
        if split is not None:
            raise UserError(
                f"--split {split}: the definition of {selected.name} sets its split to '{task.split}'."
            )
        return selected.foreign.prepare(selected, data_dir, subset)
    evaluated, source = splits_of(selected, split)
    data = {
        name: load_split(task.data, name, data_dir=data_dir, allow_drift=allow_drift)
        for name in dict.fromkeys([evaluated, *([source] if source else [])])
    }
    rows = arranged(spec.documents, data[evaluated].rows)
    documents = _documents(selected, rows)
    pool: list[Row] = []
    if source:
        pool = list(rows if source == evaluated else data[source].rows)
    shots = _shots(selected, documents, pool, same_split=spec.shots.split == evaluated)
    chosen = subset.indices([document.member for document in documents], equally=spec.aggregation == "macro")
    return PreparedTask(
        selected,
        evaluated,
        [documents[index] for index in chosen],
        [shots[index] for index in chosen],
        data,
        subset=subset,
        available=len(documents),
    )


def splits_of(selected: Selected, split: str | None = None) -> tuple[str, str | None]:
    """The evaluated split, and the split that shots are drawn from; None if none are.

    Args:
        selected: a task of evalsuite's own.
        split: split to evaluate, in place of the spec's.
    """
    spec = selected.spec
    drawn = spec.shots.count and spec.shots.exemplars is None
    return split or spec.split or selected.task.split, spec.shots.split if drawn else None


def arranged(documents: DocumentsSpec, rows: Sequence[Row]) -> list[Row]:
    """The rows that are documents, in their order."""
    found = list(rows)
    if documents.shuffle is not None:
        Random(documents.shuffle).shuffle(found)
    return found[: documents.first]


def _documents(selected: Selected, rows: Sequence[Row]) -> list[Document]:
    """The rows as documents; if the spec names member tasks, only their rows."""
    task, spec = selected.task, selected.spec
    seen: dict[str, int] = {}
    documents: list[Document] = []
    for index, row in enumerate(rows):
        with reading(task, f"row {index}"):
            member = task.subtask(row) if task.subtask else ""
            cluster = task.cluster(row) if task.cluster else ""
        if spec.members and member not in spec.members:
            continue
        member_index = seen[member] = seen.get(member, -1) + 1
        # A single member is the task itself.
        subtask = f"{spec.task}_{member}" if member and len(spec.members) != 1 else ""
        question = question_of(task, row, f"row {index}", spec.order, index)
        documents.append(Document(len(documents), subtask, member_index, row, question, cluster, member))
    return documents


def _shots(
    selected: Selected, documents: list[Document], pool: list[Row], same_split: bool
) -> list[list[Row]]:
    """Shots of each document; a member task draws from its own rows with its own random stream."""
    if not pool:
        return [[] for _ in documents]
    member = selected.task.subtask or (lambda row: "")
    pools: dict[str, list[Row]] = {}
    for row in pool:
        pools.setdefault(member(row), []).append(row)
    members: dict[str, list[Document]] = {}
    for document in documents:
        members.setdefault(document.member, []).append(document)
    drawn: dict[int, list[Row]] = {}
    for name, group in members.items():
        try:
            rows = draw_shots(
                selected.spec.shots,
                [document.row for document in group],
                pools.get(name, []),
                same_split,
                name,
            )
        except DataError as error:
            raise DataError(f"{selected.name}{f' ({name})' if name else ''}: {error}") from None
        drawn.update(zip((document.index for document in group), rows, strict=True))
    return [drawn[document.index] for document in documents]
