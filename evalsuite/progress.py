"""Progress reports of a run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run: preparing, scoring, generating, judging."""

    name: str
    at_most: bool = False
    """The planned count is an upper bound: generated texts may end before their token limit."""
    unit: str = "tokens"
    """The unit of the counts."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One of several workers that share the work."""

    number: int
    """A worker that replaces a lost worker has a new number."""
    state: Literal["waiting for a place", "loading", "working", "lost"]
    place: str = ""
    """Host and process, once known."""
    answers: int = 0
    tokens: int = 0
    seconds: float = 0.0
    """The worker's answers and tokens in this stage, and the seconds it spent on them."""


class Progress(Protocol):
    """Receives progress reports; the command line displays them."""

    def stage(self, stage: Stage) -> None:
        """A new stage begins."""
        ...

    def advance(self, count: int, planned: int) -> None:
        """`count` more units of the stage (tokens by default) are done, of `planned` in total."""
        ...

    def worker(self, state: WorkerState) -> None:
        """A worker has made progress or is lost."""
        ...

    def warn(self, sentence: str) -> None:
        """Something that the user wants to know before the run has ended."""
        ...


def verdicts_of(progress: Progress, task: str) -> Callable[[int, int], None]:
    """Reports the verdicts on a task's texts as a separate stage, which begins with the first verdict."""
    begun = False

    def on_verdicts(count: int, total: int) -> None:
        nonlocal begun
        if not begun:
            begun = True
            progress.stage(Stage(f"judging {task}", unit="texts"))
        progress.advance(count, total)

    return on_verdicts


class Silent:
    """Ignores every report."""

    def stage(self, stage: Stage) -> None:
        """Nothing."""

    def advance(self, count: int, planned: int) -> None:
        """Nothing."""

    def worker(self, state: WorkerState) -> None:
        """Nothing."""

    def warn(self, sentence: str) -> None:
        """Nothing."""
