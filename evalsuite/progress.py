"""What a run tells while it works."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run: preparing, scoring, generating, judging."""

    name: str
    at_most: bool = False
    """Its plan is an upper bound: generated texts may end before their token limit."""


class Progress(Protocol):
    """Receives what happens; the command line draws it."""

    def stage(self, stage: Stage) -> None:
        """A new stage begins."""
        ...

    def advance(self, tokens: int, planned: int) -> None:
        """That many more tokens of the stage are done, out of `planned` in all."""
        ...


class Silent:
    """Draws nothing."""

    def stage(self, stage: Stage) -> None:
        """Nothing."""

    def advance(self, tokens: int, planned: int) -> None:
        """Nothing."""
