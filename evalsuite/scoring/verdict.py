"""The verdict of a scorer on a generated text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evalsuite.prompting.spec import PromptSpec
from evalsuite.scoring.workers import ScorerFailed
from evalsuite.types import Generated, Sample


@dataclass(frozen=True, slots=True)
class TextVerdict:
    """The verdict on one generated text."""

    correct: bool
    extracted: str | None
    """The answer found in the text; None if there is none."""
    decider: str = ""
    """The grader, pattern or test that decided."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Additional metrics of this text by name (`f1`, a named extraction)."""


def _ignore(count: int, total: int) -> None:
    """Ignore progress."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the scorers; none of them changes a verdict."""

    allow_unsafe_code: bool = False
    """Whether to run model-written code under resource limits alone if no sandbox works."""
    workers: int | None = None
    """Number of processes; None for one per core."""
    on_verdicts: Callable[[int, int], None] = _ignore
    """Called with the number of new verdicts and the task's total number of texts."""


Extracted = list[TextVerdict | ScorerFailed]
"""Verdicts on the generated texts of one document."""


class Scored(NamedTuple):
    """Verdicts of a scorer in the order of the samples, and notes on the score."""

    found: list[Extracted]
    notes: tuple[str, ...] = ()


TextScorer = Callable[[Sequence[Sample], PromptSpec, Options], Scored]


def generated_texts(sample: Sample) -> list[str]:
    """The generated texts of a document."""
    return [answer.text for answer in sample.responses if isinstance(answer, Generated)]
