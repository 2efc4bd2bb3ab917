"""Assigns parts to workers, and retries them when a worker fails or is lost; pure, without Ray.

A failed part is retried on another worker. A part that fails twice is halved, as is every half that fails,
until a single request is left. A request that fails twice by itself is given up; all other requests are
answered.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Generic, Literal

from evalsuite.engine.protocol import R

AHEAD = 2
"""Parts that a worker holds: a running one and a queued one, so that it is never idle.

The last parts, as many as there are workers, stay in the common queue for the first free worker.
"""

FAILURES = 2
"""Failures of a part before it is halved, or of a single request before it is given up."""


@dataclass(frozen=True, slots=True)
class Piece(Generic[R]):
    """A part, or half of a failed part."""

    requests: tuple[R, ...]
    answered: frozenset[R] = frozenset()
    """The requests that are already answered; they still shape the plan."""
    failures: int = 0
    is_half: bool = False
    failed_on: frozenset[int] = frozenset()
    """The workers on which it has failed."""

    @property
    def left(self) -> tuple[R, ...]:
        """Requests that need an answer."""
        if not self.answered:
            return self.requests
        return tuple(request for request in self.requests if request not in self.answered)


@dataclass(frozen=True, slots=True)
class RetryDecision(Generic[R]):
    """What happens to the requests of a piece after a failure."""

    then: Literal["again", "halved", "given up"]
    requests: tuple[R, ...]


class PartScheduler(Generic[R]):
    """Assigns the pieces of one call to workers; worker and ticket identify an assigned piece."""

    def __init__(self, parts: Iterable[Sequence[R]], answered: Collection[R] = (), workers: int = 1) -> None:
        pieces = (
            Piece(tuple(part), frozenset(request for request in part if request in answered))
            for part in parts
        )
        self._waiting: deque[Piece[R]] = deque(piece for piece in pieces if piece.left)
        self._workers = workers
        self._at_work: dict[int, dict[int, Piece[R]]] = {}
        """Assigned pieces by worker and ticket, in the order of assignment."""
        self._tickets = count()
        self.given_up_in_a_row = 0
        """Requests given up since a piece was last answered."""

    @property
    def done(self) -> bool:
        """Whether every request was answered or given up."""
        return not self._waiting and not any(self._at_work.values())

    def take(self, worker: int, alive: Collection[int]) -> tuple[int, Piece[R]] | None:
        """A ticket and the next piece for `worker`; None if it has enough, or no piece is suitable.

        A piece is assigned again to a worker on which it has failed only if it has failed on all workers in
        `alive`.
        """
        held = self._at_work.setdefault(worker, {})
        if len(held) >= (AHEAD if len(self._waiting) >= self._workers else 1):
            return None
        for index, piece in enumerate(self._waiting):
            if worker not in piece.failed_on or piece.failed_on.issuperset(alive):
                del self._waiting[index]
                ticket = next(self._tickets)
                held[ticket] = piece
                return ticket, piece
        return None

    def answered(self, worker: int, ticket: int) -> tuple[R, ...]:
        """Record that a piece was answered; returns its open requests, or none for an unknown ticket."""
        piece = self._at_work.get(worker, {}).pop(ticket, None)
        if piece is None:
            return ()
        self.given_up_in_a_row = 0
        return piece.left

    def failed(self, worker: int, ticket: int) -> RetryDecision[R] | None:
        """Record that a piece failed on its worker; returns the decision, or None for an unknown ticket."""
        piece = self._at_work.get(worker, {}).pop(ticket, None)
        if piece is None:
            return None
        left, failures = piece.left, piece.failures + 1
        if failures < (1 if piece.is_half and len(left) > 1 else FAILURES):
            self._waiting.appendleft(replace(piece, failures=failures, failed_on=piece.failed_on | {worker}))
            return RetryDecision("again", left)
        if len(left) == 1:
            self.given_up_in_a_row += 1
            return RetryDecision("given up", left)
        middle = len(left) // 2
        self._waiting.extendleft(Piece(half, is_half=True) for half in (left[middle:], left[:middle]))
        return RetryDecision("halved", left)

    def lost(self, worker: int) -> RetryDecision[R] | None:
        """Record a lost worker: its current piece has failed; its queued pieces are requeued.

        Requeued pieces count no failure.
        """
        held = self._at_work.get(worker, {})
        decision = self.failed(worker, next(iter(held))) if held else None
        self._waiting.extendleft(reversed(self._at_work.pop(worker, {}).values()))
        return decision
