"""What a scorer says of one generated text."""

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
    """The answer found in it; None where there is none."""
    decider: str = ""
    """Which grader, pattern or test decided."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Further metrics of this text by name (`f1`, a named extraction)."""


def _unheard(count: int, total: int) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a user allows scorers; none of it changes a verdict."""

    allow_unsafe_code: bool = False
    """Run model-written code under resource limits alone, where no sandbox works."""
    workers: int | None = None
    """Processes; None for one per core."""
    on_verdicts: Callable[[int, int], None] = _unheard
    """Is told how many further texts have a verdict, out of how many of a task."""


Extracted = list[TextVerdict | ScorerFailed]
"""Verdicts on the generated texts of one document."""


class Scored(NamedTuple):
    """Verdicts of a scorer in the order of the samples, and what a reader of the score must know."""

    found: list[Extracted]
    notes: tuple[str, ...] = ()


TextScorer = Callable[[Sequence[Sample], PromptSpec, Options], Scored]


def generated_texts(sample: Sample) -> list[str]:
    """The texts that a document was answered with."""
    return [answer.text for answer in sample.responses if isinstance(answer, Generated)]
