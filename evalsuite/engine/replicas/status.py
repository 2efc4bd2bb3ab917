"""Per-worker progress and failures, for the progress display and as notes for the run log."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from evalsuite.engine.replicas.scheduler import RetryDecision
from evalsuite.engine.replicas.worker import WorkResult
from evalsuite.progress import WorkerState

MOST_NOTES = 50
"""Most notes on failures; further failures are only counted."""

WorkerPhase = Literal["waiting for a place", "loading", "working", "lost"]
THEN = {
    "again": "is retried",
    "halved": "is halved, to find the request that fails",
    "given up": "is given up",
}


class WorkerStatus:
    """The state of each worker, and all failures."""

    def __init__(self, report: Callable[[WorkerState], None]) -> None:
        self._report = report
        self._states: dict[int, WorkerState] = {}
        self._of_the_model: dict[str, None] = {}
        self._failures: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """The workers' notes on the model, then each failure."""
        more = len(self._failures) - MOST_NOTES
        rest = [f"{more} more failures of workers"] if more > 0 else []
        return (*self._of_the_model, *self._failures[:MOST_NOTES], *rest)

    def begin(self) -> None:
        """Start a new stage: reset the workers' counts."""
        for state in self._states.values():
            if state.state != "lost":
                self._set(replace(state, answers=0, tokens=0, seconds=0.0))

    def entered(self, worker: int, state: WorkerPhase, place: str = "") -> None:
        """Record a worker's new state; `place` is its host and process."""
        previous = self._states.get(worker, WorkerState(worker, state))
        self._set(replace(previous, state=state, place=place or previous.place))

    def did(self, worker: int, answers: int, result: WorkResult) -> None:
        """Record that a worker answered a piece."""
        previous = self._states[worker]
        self._of_the_model.update(dict.fromkeys(result.notes))
        self._set(
            replace(
                previous,
                answers=previous.answers + answers,
                tokens=previous.tokens + result.tokens,
                seconds=previous.seconds + result.seconds,
            )
        )

    def failed(self, worker: int, reason: str, decision: RetryDecision[Any] | None, *, lost: bool) -> None:
        """Record that a worker failed on its piece, or is lost."""
        if lost:
            self.entered(worker, "lost")
        place = self._states[worker].place
        consequence = "it had no work"
        if decision:
            count = len(decision.requests)
            consequence = f"its part of {count} request{'s' * (count > 1)} {THEN[decision.then]}"
        name = f"worker {worker} ({place})" if place else f"worker {worker}"
        self._failures.append(f"{name} {'was lost' if lost else 'failed'}: {reason}; {consequence}")

    def _set(self, state: WorkerState) -> None:
        self._states[state.number] = state
        self._report(state)
