"""From a selected task to its documents and their prompts; no model is needed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from evalsuite.data import Rows, load_split
from evalsuite.data.subset import ALL, Subset
from evalsuite.errors import DataError, UserError
from evalsuite.foreign import ForeignScoring
from evalsuite.prompting.fewshot import draw_shots
from evalsuite.prompting.order import in_order
from evalsuite.prompting.render import Renderer
from evalsuite.registry.registry import Selected
from evalsuite.task import Task
from evalsuite.types import (
    ClozePair,
    CodeProblem,
    Document,
    MultipleChoice,
    OpenAnswer,
    Prompt,
    Question,
    Row,
)


@dataclass(frozen=True)
class PreparedTask:
    """The documents of one task, ready to be rendered."""

    selected: Selected
    split: str
    """The evaluated split."""
    documents: list[Document]
    """Those that are evaluated, in split order."""
    shots: list[list[Row]]
    """Rows shown before each document."""
    data: dict[str, Rows]
    """What each split that was read turned out to be."""
    foreign: ForeignScoring | None = None
    """Judges in place of the spec's scorer."""
    subset: Subset = ALL
    """What was asked for of the documents."""
    available: int = 0
    """Documents that the subset was taken from."""

    @cached_property
    def renderer(self) -> Renderer:
        """Renders the task's prompts; its templates are compiled once."""
        task = self.selected.task
        order = self.selected.spec.order
        return Renderer(
            self.selected.spec, lambda row: _question(task, row, "a row that is shown as a shot", order)
        )

    @cached_property
    def prompts(self) -> list[Prompt]:
        """The prompt of each document, all shots shown."""
        return [self.prompt(place) for place in range(len(self.documents))]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the score must know about its data."""
        data = (note for rows in self.data.values() for note in rows.notes)
        return tuple(dict.fromkeys([*self.selected.notes, *data]))

    @property
    def subset_notes(self) -> tuple[str, ...]:
        """Of which documents the score is.

        Documents stand in files in no random order: an interval over the first ones says nothing of the others.
        """
        count = len(self.documents)
        if count >= self.available:
            return ()
        if self.subset.sample is not None:
            return (f"a random sample of {count} of {self.available} documents (seed {self.subset.seed})",)
        return (
            f"the first {count} of {self.available} documents, which are no random sample: the interval does not "
            f"cover the other documents (--sample {count} draws documents at random)",
        )

    @property
    def shots_shown(self) -> list[int]:
        """Shots before each document: those that were drawn, or the spec's exemplars."""
        count = self.selected.spec.shots.count
        drawn = bool(count and self.selected.spec.shots.split and self.selected.spec.shots.exemplars is None)
        return [len(rows) for rows in self.shots] if drawn else [count] * len(self.documents)

    @property
    def among_shots(self) -> int:
        """Documents that are shown themselves, solved, among their shots."""
        return sum(
            any(row == document.row for row in rows)
            for document, rows in zip(self.documents, self.shots, strict=True)
        )

    def prompt(self, place: int, most_shots: int | None = None) -> Prompt:
        """The prompt of the document at `place`, with at most `most_shots` shots."""
        return self.renderer.prompt(self.documents[place], self.shots[place], most_shots)


def gold_text(document: Document) -> str:
    """The right answer: the index of the right choice, the canonical gold form, or a program that passes."""
    match document.question:
        case OpenAnswer(answers=answers):
            return answers[0]
        case CodeProblem(solution=solution):
            return solution
        case MultipleChoice(answer=answer) | ClozePair(answer=answer):
            return str(answer)


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
        data_dir: folder in Hugging Face layout that is looked at first.
        split: evaluated split, in place of the spec's.
        subset: which documents are evaluated.
        allow_drift: accept rows that are not the pinned ones, with a note.

    Raises:
        DataError: rows are missing, not the pinned ones, or cannot be read as questions.
    """
    task, spec = selected.task, selected.spec
    if selected.foreign is not None:
        if split is not None:
            raise UserError(
                f"--split {split}: {selected.name} is evaluated on '{task.split}', as its definition says."
            )
        return selected.foreign.prepare(selected, data_dir, subset)
    evaluated = split or spec.split or task.split
    data = {evaluated: load_split(task.data, evaluated, data_dir=data_dir, allow_drift=allow_drift)}
    documents = _documents(selected, data[evaluated].rows)
    pool: list[Row] = []
    if spec.shots.count and spec.shots.split and spec.shots.exemplars is None:
        source = spec.shots.split
        if source not in data:
            data[source] = load_split(task.data, source, data_dir=data_dir, allow_drift=allow_drift)
        pool = list(data[source].rows)
    shots = _shots(selected, documents, pool, same_split=spec.shots.split == evaluated)
    chosen = subset.indices([one.member for one in documents], equally=spec.aggregation == "macro")
    return PreparedTask(
        selected,
        evaluated,
        [documents[index] for index in chosen],
        [shots[index] for index in chosen],
        data,
        subset=subset,
        available=len(documents),
    )


def _documents(selected: Selected, rows: Sequence[Row]) -> list[Document]:
    """The rows as documents; of the member tasks that the spec names, where it names some."""
    task, spec = selected.task, selected.spec
    seen: dict[str, int] = {}
    documents: list[Document] = []
    for index, row in enumerate(rows):
        with _readable(task, f"row {index}"):
            member = task.subtask(row) if task.subtask else ""
            cluster = task.cluster(row) if task.cluster else ""
        if spec.members and member not in spec.members:
            continue
        place = seen[member] = seen.get(member, -1) + 1
        # A single member is the task itself.
        subtask = f"{spec.task}_{member}" if member and len(spec.members) != 1 else ""
        question = _question(task, row, f"row {index}", spec.order, index)
        documents.append(Document(len(documents), subtask, place, row, question, cluster, member))
    return documents


def _question(
    task: Task, row: Row, where: str, order: Sequence[int] | Literal["shuffled"] = (), place: int = 0
) -> Question:
    """The row as a question that has its answer: splits with hidden labels would score as all wrong."""
    with _readable(task, where):
        question = in_order(task.question(row), order, place)
        _require_texts(question)
        match question:
            case (
                MultipleChoice(choices=choices, answer=answer) | ClozePair(beginnings=choices, answer=answer)
            ):
                known = 0 <= answer < len(choices)
                found = f"answer {answer} of {len(choices)} choices"
            case OpenAnswer(answers=answers):
                known, found = bool(answers), "no accepted answer"
            case CodeProblem(tests=tests):
                known, found = bool(tests), "no tests"
    if not known:
        raise DataError(
            f"Task '{task.name}' finds {found} in {where} of {task.data}; a split without right answers "
            "cannot be evaluated."
        )
    return question


def _require_texts(question: Question) -> None:
    """Raises TypeError where a question holds another value than text: a null among its choices, a number as its stem."""
    texts: tuple[object, ...]
    match question:
        case MultipleChoice():
            texts = (question.stem, *question.choices)
        case ClozePair():
            texts = (*question.beginnings, question.ending)
        case OpenAnswer():
            texts = (question.stem, *question.answers, question.solution)
        case CodeProblem():
            texts = (question.stem, question.solution, question.entry_point, *question.tests.values())
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{text!r:.60} stands where a text belongs")


@contextmanager
def _readable(task: Task, where: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        raise DataError(
            f"Task '{task.name}' cannot read {where} of {task.data}: {type(error).__name__}: {error}."
        ) from error


def _shots(
    selected: Selected, documents: list[Document], pool: list[Row], same_split: bool
) -> list[list[Row]]:
    """Shots of every document; a member task draws from its own rows, with its own stream."""
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
