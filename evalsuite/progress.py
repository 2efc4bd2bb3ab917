"""What a run tells while it works."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run: preparing, scoring, generating, judging."""

    name: str
    at_most: bool = False
    """Its plan is an upper bound: generated texts may end before their token limit."""
    unit: str = "tokens"
    """What is counted."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One of several workers that share the work."""

    number: int
    """A worker that takes the place of a lost one has a new number."""
    state: Literal["waiting for a place", "loading", "working", "lost"]
    place: str = ""
    """Host and process, once it has them."""
    answers: int = 0
    tokens: int = 0
    seconds: float = 0.0
    """What it has done in this stage, and how long it was at work on that."""


class Progress(Protocol):
    """Receives what happens; the command line draws it."""

    def stage(self, stage: Stage) -> None:
        """A new stage begins."""
        ...

    def advance(self, count: int, planned: int) -> None:
        """That many more tokens, or other units of the stage, are done, out of `planned` in all."""
        ...

    def worker(self, state: WorkerState) -> None:
        """One of several workers has got on, or is lost."""
        ...


def verdicts_of(progress: Progress, task: str) -> Callable[[int, int], None]:
    """Tells of the verdicts on a task's texts as a stage of its own, which begins with the first of them."""
    begun = False

    def on_verdicts(count: int, total: int) -> None:
        nonlocal begun
        if not begun:
            begun = True
            progress.stage(Stage(f"judging {task}", unit="texts"))
        progress.advance(count, total)

    return on_verdicts


class Silent:
    """Draws nothing."""

    def stage(self, stage: Stage) -> None:
        """Nothing."""

    def advance(self, count: int, planned: int) -> None:
        """Nothing."""

    def worker(self, state: WorkerState) -> None:
        """Nothing."""
