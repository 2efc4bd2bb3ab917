"""Which part goes to which worker, and what becomes of it when a worker fails or is lost; pure, without Ray.

A part that fails is given to another worker. One that fails twice is halved, and so is every half that fails,
until a single request is left; when that has failed twice by itself it is given up, and all others are
answered.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Generic, Literal

from evalsuite.engine.protocol import R

AHEAD = 2
"""Parts that a worker holds: one at work and one that waits, so that it is never idle. The last parts, as
many as there are workers, wait for whoever is free first."""

FAILURES = 2
"""Of a part, before it is halved; of a single request, before it is given up."""


@dataclass(frozen=True, slots=True)
class Piece(Generic[R]):
    """A part, or a half of one that failed."""

    requests: tuple[R, ...]
    answered: frozenset[R] = frozenset()
    """Those of them that need no answer any more; they shape the plan all the same."""
    failures: int = 0
    is_half: bool = False
    failed_on: frozenset[int] = frozenset()
    """Workers."""

    @property
    def left(self) -> tuple[R, ...]:
        """Requests that need an answer."""
        if not self.answered:
            return self.requests
        return tuple(one for one in self.requests if one not in self.answered)


@dataclass(frozen=True, slots=True)
class RetryDecision(Generic[R]):
    """What a failure leads to for the requests of a piece."""

    then: Literal["again", "halved", "given up"]
    requests: tuple[R, ...]


class PartScheduler(Generic[R]):
    """Hands out the pieces of one call; a piece that is at work is known by its worker and its ticket."""

    def __init__(self, parts: Iterable[Sequence[R]], answered: Collection[R] = (), workers: int = 1) -> None:
        pieces = (Piece(tuple(part), frozenset(one for one in part if one in answered)) for part in parts)
        self._waiting: deque[Piece[R]] = deque(piece for piece in pieces if piece.left)
        self._workers = workers
        self._at_work: dict[int, dict[int, Piece[R]]] = {}
        """By worker and ticket, in the order of handing out."""
        self._tickets = count()
        self.given_up_in_a_row = 0
        """Requests given up since a piece was last answered."""

    @property
    def done(self) -> bool:
        """Every request was answered or given up."""
        return not self._waiting and not any(self._at_work.values())

    def take(self, worker: int, alive: Collection[int]) -> tuple[int, Piece[R]] | None:
        """A ticket and the next piece for `worker`; None if it has enough, or nothing suits it.

        A piece goes to a worker on which it has failed only if it has failed on all that are `alive`.
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
        """The piece was answered: the requests that this answers; none if the ticket is not at work."""
        piece = self._at_work.get(worker, {}).pop(ticket, None)
        if piece is None:
            return ()
        self.given_up_in_a_row = 0
        return piece.left

    def failed(self, worker: int, ticket: int) -> RetryDecision[R] | None:
        """The piece failed on its worker; None if the ticket is not at work."""
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
        """The worker is gone: its current piece failed, its waiting pieces are requeued without counting a
        failure."""
        held = self._at_work.get(worker, {})
        setback = self.failed(worker, next(iter(held))) if held else None
        self._waiting.extendleft(reversed(self._at_work.pop(worker, {}).values()))
        return setback
