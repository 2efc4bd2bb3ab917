"""A task with its prompt spec, before and after its data is read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from evalsuite.data import Rows
from evalsuite.data.found import SplitTable
from evalsuite.data.local_texts import LocalTexts
from evalsuite.data.subset import ALL, Subset
from evalsuite.errors import UserError
from evalsuite.prompting.spec import PromptSpec
from evalsuite.task import Task, question_of
from evalsuite.types import Bos, Document, Prompt, Row, Sample

if TYPE_CHECKING:
    from evalsuite.prompting.render import Renderer


LOCAL_TEXTS = "texts"
"""Name of the user's own texts where other tasks have the id of their data set."""


class ForeignTask(Protocol):
    """A task definition of another harness that is not loaded yet."""

    @property
    def unsafe_code(self) -> bool:
        """Whether scoring runs model-written code outside evalsuite's sandbox."""
        ...

    def prepare(self, selected: "Selected", data_dir: Path | None, subset: Subset) -> "PreparedTask":
        """The documents and prompts; raises UserError if data or code is missing."""
        ...

    def read_data(self, selected: "Selected", data_dir: Path | None) -> "ForeignData":
        """The documents and the splits that were loaded for them; raises UserError if data is missing."""
        ...


@dataclass(frozen=True)
class ForeignData:
    """The data that another harness loads for a task."""

    documents: Rows
    """The documents, with their fingerprint."""
    tables: tuple[SplitTable, ...]
    """The splits that the task uses, of datasets with the layout of the hub."""
    local: tuple[str, ...]
    """What it loads from elsewhere: files of the user, files at web addresses."""


class ForeignScoring(Protocol):
    """The scoring of another harness."""

    def judge(self, samples: Sequence[Sample]) -> list[Sample]:
        """The answered samples with verdicts; failed if the other harness failed."""
        ...

    def corpus_score(self, metric: str, samples: Sequence[Sample]) -> float | None:
        """The score of a metric that is not a mean over documents; None for a mean."""
        ...


def refuse_unsafe_code(tasks: Sequence["Selected"], allowed: bool) -> None:
    """Raises UserError if a definition runs model-written code and the user has not allowed it."""
    for task in tasks:
        if task.foreign is not None and task.foreign.unsafe_code and not allowed:
            raise UserError(
                f"{task.name} runs model-written code outside the sandbox, like lm-eval's definition; allow "
                "it with --allow-unsafe-code."
            )


@dataclass(frozen=True)
class Selected:
    """A task with its prompt spec."""

    name: str
    """The shortest address of the task, which names files and table rows."""
    task: Task
    spec: PromptSpec
    best_of: str = ""
    """Name of the best-form score to which this form belongs (its name without the form), or empty."""
    averaged: bool = False
    """Whether the task counts in its recipe's averages."""
    foreign: ForeignTask | None = None
    """Another harness's definition, which gives documents, prompts and verdicts in place of task and spec."""
    own_bos: Bos | None = None
    """The spec's original `bos`, if the user chose another."""

    @property
    def address(self) -> str:
        """The full address."""
        form = self.spec.variant or self.spec.format
        return f"{self.spec.recipe}/{self.spec.task}:{form}@{self.spec.shots.count}"

    def with_bos(self, bos: Bos | None) -> "Selected":
        """The task with the user's choice of BOS, which changes the spec's hash; None keeps the spec's."""
        if bos is None or bos == self.spec.bos:
            return self
        spec = self.spec.model_copy(update={"bos": bos})
        return replace(self, spec=spec, own_bos=self.own_bos or self.spec.bos)

    @property
    def wants_texts(self) -> bool:
        """Whether the task scores the user's own texts."""
        return self.spec.format == "text" and not self.task.data.id

    def with_texts(self, texts: LocalTexts | None, stride: int | None) -> "Selected":
        """The task on the user's texts if it is about them, and with the user's stride."""
        if self.spec.format != "text":
            return self
        task, spec = self.task, self.spec
        if self.wants_texts and texts is not None:
            task = replace(task, data=replace(task.data, id=LOCAL_TEXTS, texts=texts))
        if stride is not None:
            spec = spec.model_copy(update={"stride": stride})
        return replace(self, task=task, spec=spec)

    @property
    def notes(self) -> tuple[str, ...]:
        """The spec's caveat, and notes on differences from the recipe."""
        notes = [self.spec.source.caveat] if self.spec.source.caveat else []
        if self.own_bos is not None and self.own_bos != self.spec.bos:
            notes.append(
                f"Run with --bos {self.spec.bos}, but the recipe has {self.own_bos}: this is not the "
                "recipe's number"
            )
        if self.spec.stride is not None:
            notes.append(
                f"Each window scores {self.spec.stride} tokens, with more context than without --stride: "
                "lower, and no number to compare with others"
            )
        return tuple(notes)


@dataclass(frozen=True)
class PreparedTask:
    """The documents of a task, ready for rendering."""

    selected: Selected
    split: str
    """The evaluated split."""
    documents: list[Document]
    """The evaluated documents, in split order."""
    shots: list[list[Row]]
    """Rows of each document's shots."""
    data: dict[str, Rows]
    """Rows of each split that was read, with their source."""
    foreign: ForeignScoring | None = None
    """Scores in place of the spec's scorer."""
    subset: Subset = ALL
    """The subset of documents that was selected."""
    available: int = 0
    """Number of documents before the subset was selected."""

    @cached_property
    def renderer(self) -> "Renderer":
        """Renders the task's prompts; its templates are compiled once."""
        from evalsuite.prompting.render import Renderer  # Jinja2, which no listing needs.

        task = self.selected.task
        order = self.selected.spec.order
        return Renderer(self.selected.spec, lambda row: question_of(task, row, "a row used as a shot", order))

    @cached_property
    def prompts(self) -> list[Prompt]:
        """The prompt of each document with all shots."""
        return [self.prompt(index) for index in range(len(self.documents))]

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the spec and the data that belong to the score."""
        data = (note for rows in self.data.values() for note in rows.notes)
        return tuple(dict.fromkeys([*self.selected.notes, *data]))

    @property
    def subset_notes(self) -> tuple[str, ...]:
        """A note if the score covers only some of the documents.

        Documents are not stored in random order: an interval over the first ones does not cover the others.
        """
        count = len(self.documents)
        if count >= self.available:
            return ()
        if self.subset.sample is not None:
            return (f"a random sample of {count} of {self.available} documents (seed {self.subset.seed})",)
        if self.selected.spec.documents.shuffle is not None:
            return (f"the first {count} of {self.available} documents in the recipe's shuffled order",)
        return (
            f"the first {count} of {self.available} documents, which are not a random sample: the interval "
            f"does not cover the other documents (--sample {count} draws documents at random)",
        )

    @property
    def shots_shown(self) -> list[int]:
        """Number of shots before each document: rows that were drawn, or the spec's exemplars."""
        if self.selected.spec.shots.exemplars is None:
            return [len(rows) for rows in self.shots]
        return [self.renderer.exemplar_count(document.member) for document in self.documents]

    @property
    def among_shots(self) -> int:
        """Number of documents that are among their own shots."""
        return sum(
            any(row == document.row for row in rows)
            for document, rows in zip(self.documents, self.shots, strict=True)
        )

    def part(self, start: int, end: int) -> "PreparedTask":
        """The documents from `start` up to `end`, with their shots."""
        return replace(self, documents=self.documents[start:end], shots=self.shots[start:end])

    def prompt(self, index: int, most_shots: int | None = None) -> Prompt:
        """The prompt of a document, with at most `most_shots` shots."""
        return self.renderer.prompt(self.documents[index], self.shots[index], most_shots)
