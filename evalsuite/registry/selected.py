"""A task together with the way it is asked, before its data is read and after."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from evalsuite.data import Rows
from evalsuite.data.subset import ALL, Subset
from evalsuite.errors import UserError
from evalsuite.prompting.render import Renderer
from evalsuite.prompting.spec import PromptSpec
from evalsuite.task import Task, question_of
from evalsuite.types import Bos, Document, Prompt, Row, Sample


class ForeignTask(Protocol):
    """A definition, found but not yet loaded."""

    @property
    def unsafe_code(self) -> bool:
        """Whether judging runs model-written code outside evalsuite's sandbox."""
        ...

    def prepare(self, selected: "Selected", data_dir: Path | None, subset: Subset) -> "PreparedTask":
        """Its documents and prompts; raises UserError where its data or code is missing."""
        ...


class ForeignScoring(Protocol):
    """How the other harness judges answers."""

    def judge(self, samples: Sequence[Sample]) -> list[Sample]:
        """The answered samples with their verdicts, or failed where the other harness failed."""
        ...

    def corpus_score(self, metric: str, samples: Sequence[Sample]) -> float | None:
        """The score of a metric that is not a mean over documents; None where it is."""
        ...


def refuse_unsafe_code(tasks: Sequence["Selected"], allowed: bool) -> None:
    """Raises UserError where a definition runs model-written code and the user has not allowed it."""
    for one in tasks:
        if one.foreign is not None and one.foreign.unsafe_code and not allowed:
            raise UserError(
                f"{one.name} runs model-written code outside the sandbox, as lm-eval's definition does; allow it with "
                "--allow-unsafe-code."
            )


@dataclass(frozen=True)
class Selected:
    """A task together with the way it is asked."""

    name: str
    """The shortest address that means it; names files and table rows."""
    task: Task
    spec: PromptSpec
    best_of: str = ""
    """Name under which the better of its task's forms counts (its own without the form); else empty."""
    averaged: bool = False
    """It counts in its recipe's averages."""
    foreign: ForeignTask | None = None
    """Another harness's definition, which gives documents, prompts and verdicts in place of task and spec."""
    own_bos: Bos | None = None
    """What the spec says of a BOS token, where the user says otherwise."""

    @property
    def address(self) -> str:
        """The address with everything spelled out."""
        form = self.spec.variant or self.spec.format
        return f"{self.spec.recipe}/{self.spec.task}:{form}@{self.spec.shots.count}"

    def with_bos(self, bos: Bos | None) -> "Selected":
        """The same with the user's word on a BOS token, which is part of the spec's hash; None leaves the
        spec's."""
        if bos is None or bos == self.spec.bos:
            return self
        spec = self.spec.model_copy(update={"bos": bos})
        return replace(self, spec=spec, own_bos=self.own_bos or self.spec.bos)

    @property
    def notes(self) -> tuple[str, ...]:
        """How it is asked in another way than its recipe says."""
        if self.own_bos is None or self.own_bos == self.spec.bos:
            return ()
        return (
            f"Asked with --bos {self.spec.bos}, where the recipe says {self.own_bos}: the number is not the recipe's",
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
            self.selected.spec, lambda row: question_of(task, row, "a row that is shown as a shot", order)
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

        Documents stand in files in no random order: an interval over the first ones says nothing of the
        others.
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
