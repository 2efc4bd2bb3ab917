"""Per-worker progress and failures: for the progress display, and as notes for the run log."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from evalsuite.engine.replicas.scheduler import RetryDecision
from evalsuite.engine.replicas.worker import WorkResult
from evalsuite.progress import WorkerState

MOST_NOTES = 50
"""On failures; the rest are counted."""

State = Literal["waiting for a place", "loading", "working", "lost"]
THEN = {
    "again": "is given out again",
    "halved": "is halved, to find the request at fault",
    "given up": "is given up",
}


class WorkerStatus:
    """The workers by number, and everything that went wrong."""

    def __init__(self, tell: Callable[[WorkerState], None]) -> None:
        self._tell = tell
        self._states: dict[int, WorkerState] = {}
        self._of_the_model: dict[str, None] = {}
        self._failures: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """What the workers say of the model, then each failure."""
        more = len(self._failures) - MOST_NOTES
        rest = [f"{more} more failures of workers"] if more > 0 else []
        return (*self._of_the_model, *self._failures[:MOST_NOTES], *rest)

    def begin(self) -> None:
        """A new stage: what the workers did before is not counted any more."""
        for state in self._states.values():
            if state.state != "lost":
                self._set(replace(state, answers=0, tokens=0, seconds=0.0))

    def entered(self, worker: int, state: State, place: str = "") -> None:
        """A worker has got so far."""
        before = self._states.get(worker, WorkerState(worker, state))
        self._set(replace(before, state=state, place=place or before.place))

    def did(self, worker: int, answers: int, result: WorkResult) -> None:
        """A worker answered a piece."""
        before = self._states[worker]
        self._of_the_model.update(dict.fromkeys(result.notes))
        self._set(
            replace(
                before,
                answers=before.answers + answers,
                tokens=before.tokens + result.tokens,
                seconds=before.seconds + result.seconds,
            )
        )

    def failed(self, worker: int, reason: str, setback: RetryDecision[Any] | None, *, lost: bool) -> None:
        """A worker could not answer its piece, or is lost."""
        if lost:
            self.entered(worker, "lost")
        place = self._states[worker].place
        what = "it had no work"
        if setback:
            count = len(setback.requests)
            what = f"its part of {count} request{'s' * (count > 1)} {THEN[setback.then]}"
        self._failures.append(
            f"worker {worker}{f' ({place})' if place else ''} {'was lost' if lost else 'failed'}: {reason}; {what}"
        )

    def _set(self, state: WorkerState) -> None:
        self._states[state.number] = state
        self._tell(state)
