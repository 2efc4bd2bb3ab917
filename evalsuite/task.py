"""A benchmark as a plug-in: where its rows are, how a row becomes a question, what chance scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from evalsuite.data.refs import DatasetRef
from evalsuite.errors import DataError
from evalsuite.prompting.order import in_order
from evalsuite.types import ClozePair, CodeProblem, MultipleChoice, OpenAnswer, Question, Row

if TYPE_CHECKING:
    from evalsuite.prompting.spec import PromptSpec


@dataclass(frozen=True)
class Task:
    """One benchmark. A module that defines `TASKS = [Task(...), ...]` is a task plug-in."""

    name: str
    title: str
    """What is asked, in a few words, for `evalsuite list tasks`."""
    data: DatasetRef
    split: str
    """The split that is evaluated unless a prompt spec or `--split` names another."""
    question: Callable[[Row], Question]
    """Reads a row as a typed question; raises KeyError or ValueError on a row it cannot read."""
    chance: float | None
    """Score of blind guessing; None where guessing scores nothing."""
    comparability: int
    """Raised whenever a score can change although no prompt spec did."""
    subtask: Callable[[Row], str] | None = None
    """Short name of the member task that a row belongs to (`anatomy`)."""
    subsets: Mapping[str, Callable[[Row], bool]] = field(default_factory=dict)
    """Parts of the documents that have a score of their own, by name (the level-5 problems of MATH)."""
    cluster: Callable[[Row], str] | None = None
    """What a row shares with others, where questions come in groups on one source (a passage, a template):
    their verdicts go together, and standard errors count the sources."""
    prompts: tuple[PromptSpec, ...] = ()
    """Prompt specs of a plug-in that keeps them in the same file; recipes keep theirs as YAML."""


def question_of(
    task: Task, row: Row, where: str, order: Sequence[int] | Literal["shuffled"] = (), place: int = 0
) -> Question:
    """The row as a question that has its answer: splits with hidden labels would score as all wrong."""
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
    if not known:
        raise DataError(
            f"Task '{task.name}' finds {found} in {where} of {task.data}; a split without right answers "
            "cannot be evaluated."
        )
    return question


@contextmanager
def reading(task: Task, where: str) -> Iterator[None]:
    """Turns what a plug-in's function raises on a row into a DataError that names the row."""
    try:
        yield
    except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        raise DataError(
            f"Task '{task.name}' cannot read {where} of {task.data}: {type(error).__name__}: {error}."
        ) from error


def _require_texts(question: Question) -> None:
    """Raises TypeError where a question holds another value than text: a null among its choices, a number as
    its stem."""
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
