"""Workers as Ray actors: started, given work, and replaced when they are lost; reports events."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from evalsuite.engine.replicas.pace import Pace
from evalsuite.engine.replicas.ray_cluster import Share, ray_package
from evalsuite.engine.replicas.worker import Description, EngineSetup, ReplicaWorker, WorkerError, WorkResult

LOST_AT_START = 3
"""No more workers start after this many in a row, or one full set, were lost before loading their weights.

The larger of both numbers counts.
"""


@dataclass(frozen=True, slots=True)
class Event:
    """The outcome of a call to a worker."""

    worker: int
    ticket: int | None
    """The part's ticket; None for `describe` and `load`."""
    result: Description | WorkResult | WorkerError | None
    """None: the weights are loaded."""
    lost: bool = False
    """Whether the worker is gone; the result says why."""


@dataclass
class _Member:
    actor: Any
    description: Description | None = None
    loads: bool = False
    ready: bool = False
    heard: float = 0.0
    """Time of its last sign of life, of its process start, or of new work while idle; 0: never.

    In seconds of the monotonic clock.
    """
    at_work: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Kind and planned tokens of its parts by ticket, in the order in which they were given."""


@dataclass
class ActorPool:
    """The workers of a run. Each has a number that is never reused."""

    setup: EngineSetup
    share: Share
    pace: Pace = field(default_factory=Pace)
    members: dict[int, _Member] = field(default_factory=dict)
    _calls: dict[Any, tuple[int, int | None]] = field(default_factory=dict)
    """Worker and ticket of each pending call, by Ray's reference to its result."""
    _started: int = 0
    _lost_at_start: int = 0

    @property
    def ready(self) -> list[int]:
        """Workers that have loaded their weights."""
        return [number for number, member in self.members.items() if member.ready]

    @property
    def described(self) -> dict[int, Description]:
        """Workers whose process runs and that wait for the call to load their weights."""
        return {
            number: member.description
            for number, member in self.members.items()
            if member.description and not member.loads
        }

    @property
    def has_begun(self) -> bool:
        """Whether at least one worker's process runs."""
        return any(member.description for member in self.members.values())

    def fill(self) -> list[int]:
        """Start workers until there are enough; returns the new numbers. Ray schedules them over time."""
        new = []
        most_lost = max(LOST_AT_START, self.share.workers)
        while len(self.members) < self.share.workers and self._lost_at_start < most_lost:
            self._started += 1
            self.members[self._started] = _Member(self._new_actor())
            self._call(self._started, None, "describe")
            new.append(self._started)
        return new

    def _new_actor(self) -> Any:
        ray = ray_package()
        kind = ray.remote(ReplicaWorker).options(
            num_cpus=self.share.cpus,
            num_gpus=self.share.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        return kind.remote(self.setup, self.share.threads)

    def load(self, worker: int) -> None:
        """Make a worker that has described itself load the weights."""
        self.members[worker].loads = True
        self.members[worker].heard = time.monotonic()
        self._call(worker, None, "load")

    def give(self, worker: int, ticket: int, tokens: int, kind: str, *work: Any) -> None:
        """Call `ReplicaWorker.answer` with a part of `tokens` planned tokens."""
        member = self.members[worker]
        if not member.at_work:
            member.heard = time.monotonic()
        member.at_work[ticket] = kind, tokens
        self._call(worker, ticket, "answer", kind, *work)

    def _call(self, worker: int, ticket: int | None, method: str, *arguments: Any) -> None:
        reference = getattr(self.members[worker].actor, method).remote(*arguments)
        self._calls[reference] = worker, ticket

    def events(self, seconds: float) -> list[Event]:
        """New events; waits at most `seconds` for the first."""
        ray = ray_package()
        waiting = list(self._calls)
        if not waiting:
            return []
        ready, _ = ray.wait(waiting, num_returns=1, timeout=seconds)
        if ready:
            ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
        return [event for reference in ready for event in self._event(reference)]

    def silent(self) -> list[Event]:
        """End the workers that have been silent for longer than their work can take; returns their events."""
        now, lost = time.monotonic(), []
        for number, member in list(self.members.items()):
            if not member.heard and has_place(member.actor):
                member.heard = now
            if not member.heard or (member.ready and not member.at_work) or self._waits_for_driver(member):
                continue
            stage = ("load" if member.loads else "start"), 0
            ticket, (kind, tokens) = next(iter(member.at_work.items()), (None, stage))
            silence, bound = now - member.heard, self.pace.bound(kind, tokens)
            if silence > bound:
                reason = f"it was silent for {silence:.0f} s, where {bound:.0f} s are enough"
                lost.append(self._lose(number, ticket, WorkerError(reason)))
        return lost

    def _waits_for_driver(self, member: _Member) -> bool:
        """Whether the worker has described itself and waits for the call to load."""
        return member.description is not None and not member.loads

    def _event(self, reference: Any) -> Iterator[Event]:
        if reference not in self._calls:  # its worker was lost by an earlier event
            return
        worker, ticket = self._calls.pop(reference)
        ray = ray_package()
        try:
            result = ray.get(reference)
        except ray.exceptions.RayError as error:
            permanent = getattr(error, "actor_init_failed", False)  # its own code fails on every attempt
            reason = last_line(error) if permanent else in_short(error)
            yield self._lose(worker, ticket, WorkerError(reason, for_the_user=permanent))
            return
        if isinstance(result, WorkerError) and result.unusable:
            yield self._lose(worker, ticket, result)
            return
        member = self.members[worker]
        member.heard = time.monotonic()
        kind, tokens = member.at_work.pop(ticket, ("", 0)) if ticket is not None else ("", 0)
        if isinstance(result, WorkResult):
            self.pace.took(kind, tokens, result.seconds)
        if isinstance(result, Description):
            member.description = result
        elif result is None:
            member.ready, self._lost_at_start = True, 0
        yield Event(worker, ticket, result)

    def _lose(self, worker: int, ticket: int | None, reason: WorkerError) -> Event:
        member = self.members.pop(worker)
        self._lost_at_start += not member.ready
        self._calls = {reference: call for reference, call in self._calls.items() if call[0] != worker}
        ray_package().kill(member.actor)
        return Event(worker, ticket, reason, lost=True)

    def close(self) -> None:
        """End all workers."""
        ray = ray_package()
        for member in self.members.values():
            ray.kill(member.actor)
        self.members.clear()
        self._calls.clear()


def has_place(actor: Any) -> bool:
    """Whether the cluster has started a process for an actor, by Ray's own table; that may take any time."""
    ray_package()
    from ray._private.state import actors

    return bool(actors(actor_id=actor._actor_id.hex()).get("Pid"))


def in_short(error: Exception) -> str:
    """The sentence of Ray's error report that names the cause."""
    cause = next((line for line in reversed(str(error).splitlines()) if "because" in line), last_line(error))
    return cause.strip().split(". ")[0].rstrip(".")


def last_line(error: Exception) -> str:
    """The last line of a traceback, which names the exception."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
