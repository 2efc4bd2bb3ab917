"""A benchmark as a plug-in: the source of its rows, the question in each row, the score of guessing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from evalsuite.data.refs import DatasetRef
from evalsuite.errors import DataError
from evalsuite.prompting.order import in_order
from evalsuite.types import (
    ClozePair,
    CodeProblem,
    HeldOutText,
    MultipleChoice,
    OpenAnswer,
    Question,
    Row,
)

if TYPE_CHECKING:
    from evalsuite.prompting.spec import PromptSpec


@dataclass(frozen=True)
class Task:
    """One benchmark. A module that defines `TASKS = [Task(...), ...]` is a task plug-in."""

    name: str
    title: str
    """The subject of the questions, in a few words, for `evalsuite list tasks`."""
    data: DatasetRef
    split: str
    """The split that is evaluated unless a prompt spec or `--split` names another."""
    question: Callable[[Row], Question]
    """Reads a row as a typed question; raises KeyError or ValueError on a row it cannot read."""
    chance: float | None
    """Score of blind guessing; None if guessing scores nothing."""
    comparability: int
    """Version number, raised for each change to a score that no prompt spec shows."""
    subtask: Callable[[Row], str] | None = None
    """The short name of a row's member task (`anatomy`)."""
    subsets: Mapping[str, Callable[[Row], bool]] = field(default_factory=dict)
    """By name, the subsets of documents with a separate score (the level-5 problems of MATH)."""
    cluster: Callable[[Row], str] | None = None
    """The source (a passage, a template) that a row shares with other rows.

    Verdicts on questions about the same source are correlated, so standard errors count the sources.
    """
    prompts: tuple[PromptSpec, ...] = ()
    """Prompt specs of a plug-in that defines them in the same file; recipes define theirs in YAML."""


def question_of(
    task: Task, row: Row, where: str, order: Sequence[int] | Literal["shuffled"] = (), place: int = 0
) -> Question:
    """The row as a question; refuses one without an answer, because hidden labels would score as wrong."""
    with reading(task, where):
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
            case HeldOutText():
                known, found = True, ""
    if not known:
        raise DataError(
            f"Task '{task.name}' finds {found} in {where} of {task.data}; a split without right answers "
            "cannot be evaluated."
        )
    return question


@contextmanager
def reading(task: Task, where: str) -> Iterator[None]:
    """Turns an error that a plug-in's function raises on a row into a DataError that names the row."""
    try:
        yield
    except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        raise DataError(
            f"Task '{task.name}' cannot read {where} of {task.data}: {type(error).__name__}: {error}."
        ) from error


def _require_texts(question: Question) -> None:
    """Raises TypeError if a question has a value that is not text: a null choice, a number as its stem."""
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
        case HeldOutText():
            texts = (question.text,)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{text!r:.60} is not a text")
