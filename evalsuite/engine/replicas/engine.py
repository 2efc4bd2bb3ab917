"""An engine that has its requests answered by workers, each with a replica of the model.

The driver plans and hands out; it loads no weights. A part is answered by one worker as it would be anywhere,
so that neither the number of workers nor their order shows in an answer.
"""

import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from importlib import metadata

from evalsuite.checkpoints import tokenizer_digest, weights_digest
from evalsuite.engine.planning.partition import tokens_of
from evalsuite.engine.protocol import Answered, Begun, EngineDefaults, EngineEvent, Planned, R
from evalsuite.engine.replicas.actors import Event
from evalsuite.engine.replicas.ray_cluster import ray_package
from evalsuite.engine.replicas.scheduler import PartScheduler, Piece, RetryDecision
from evalsuite.engine.replicas.serialize import pack_requests, unpack_responses
from evalsuite.engine.replicas.status import WorkerStatus
from evalsuite.engine.replicas.supervisor import KEPT, ReplicaConfig, WorkerSupervisor
from evalsuite.engine.replicas.worker import EngineSetup, WorkerError, WorkResult
from evalsuite.errors import ModelError
from evalsuite.progress import WorkerState
from evalsuite.types import Failure, GenerateRequest, ModelIdentity, ScoreRequest

GIVEN_UP_IN_A_ROW = 8
"""Requests that may fail with nothing answered in between; one more, and the requests are not to blame."""


class ReplicatedEngine(EngineDefaults):
    """Answers requests with several workers; see `protocol.Engine`.

    Building one starts nothing. The workers start at the first `score` or `generate` that has work to do (in
    a cluster already when `identity` is asked for), load the weights once, and stay until `close`.

    Args:
        setup: the engine that each worker holds.
        wanted: how many workers, and where.
        tell: is told what becomes of each worker.

    Raises:
        UserError: Ray is not installed.
    """

    def __init__(
        self,
        setup: EngineSetup,
        wanted: ReplicaConfig,
        tell: Callable[[WorkerState], None] = lambda state: None,
    ) -> None:
        ray_package()
        self._setup = setup
        self._planner = setup.make()
        self._roll = WorkerStatus(tell)
        self._crew = WorkerSupervisor(setup, wanted, self._roll)
        self._elsewhere = wanted.address is not None
        self.tokenizer = self._planner.tokenizer

    @property
    def max_length(self) -> int | None:
        """Context window in tokens; None where the model has no limit."""
        return self._planner.max_length

    @property
    def vocabulary(self) -> int | None:
        """Token ids below this number are the model's; None where it is not known."""
        return self._planner.vocabulary

    @property
    def notes(self) -> tuple[str, ...]:
        """What the run log should say: of the model, and of what was computed again."""
        return self._roll.notes

    @functools.cached_property
    def identity(self) -> ModelIdentity:
        """What the answers depend on.

        A worker tells the numerics in a cluster, as this machine may have no GPU, and where the model has yet
        to be tried, as this process does not load it.
        """
        if self.knows_identity:
            return self._planner.identity
        spec = self._setup.spec
        return replace(
            self._crew.first_description.identity,
            weights=weights_digest(spec.files, verify=spec.verify_weights),
            tokenizer=tokenizer_digest(spec.tokens.files(spec.files), verify=spec.verify_weights),
        )

    @property
    def knows_identity(self) -> bool:
        """Whether no worker has to be asked for `identity`."""
        return self._planner.knows_identity and not self._elsewhere

    @property
    def expected_identity(self) -> ModelIdentity:
        """`identity` as far as it is known without a model; in a cluster all of it."""
        return self.identity if self._elsewhere else self._planner.expected_identity

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """As the workers' own engine cuts them; see `protocol.Engine`."""
        if self._elsewhere:
            self._planner.plan_for(self._crew.first_description.device)
        return self._planner.partition(requests)

    def load(self) -> None:
        """Wait until all workers have their weights; work does not need it, and begins with the first one."""
        while len(self._crew.ready) < self._crew.size:
            self._crew.load(self.identity, metadata.version("evalsuite"))
            for event in self._crew.events():
                if isinstance(event.result, WorkerError):
                    self._roll.failed(event.worker, event.result.reason, None, lost=event.lost)

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[EngineEvent[ScoreRequest]]:
        """Score the distinct `requests`; see `protocol.Engine`.

        Raises:
            ModelError: the model cannot be loaded, or no worker is left and none can be started.
        """
        yield from self._answer("score", requests, answered)

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[EngineEvent[GenerateRequest]]:
        """Generate for the distinct `requests`; errors as in `score`."""
        yield from self._answer("generate", requests, answered)

    def close(self) -> None:
        """End the workers; a later call starts new ones."""
        self._crew.close()

    def _answer(self, kind: str, requests: Sequence[R], answered: Collection[R]) -> Iterator[EngineEvent[R]]:
        parts = [part for part in self.partition(requests) if any(one not in answered for one in part)]
        handout = PartScheduler(parts, answered, self._crew.size if parts else 0)
        planned = sum(tokens_of([one for one in part if one not in answered]) for part in parts)
        yield Planned(planned)
        self._roll.begin()
        begun = False
        try:
            while not handout.done:
                self._crew.load(self.identity, metadata.version("evalsuite"))
                self._hand_out(handout, kind)
                if self._crew.ready and not begun:
                    begun = True
                    yield Begun()
                for event in self._crew.events():
                    answered_now = self._answers(event, handout)
                    if answered_now.answers:
                        yield answered_now
        finally:
            if not handout.done:  # at work on what nobody waits for any more
                self.close()

    def _hand_out(self, handout: PartScheduler[R], kind: str) -> None:
        ready = self._crew.ready
        alive = frozenset(ready)
        for worker in ready:
            while taken := handout.take(worker, alive):
                ticket, piece = taken
                tokens = tokens_of(piece.left)
                self._crew.give(
                    worker, ticket, tokens, kind, pack_requests(piece.requests), _positions(piece)
                )

    def _answers(self, event: Event, handout: PartScheduler[R]) -> Answered[R]:
        """The answers that an event brings, if any."""
        if isinstance(event.result, WorkResult) and event.ticket is not None:
            requests = handout.answered(event.worker, event.ticket)
            responses = unpack_responses(event.result.responses)
            self._roll.did(event.worker, len(requests), event.result)
            return Answered(tuple(zip(requests, responses, strict=True)), event.result.tokens)
        assert isinstance(event.result, WorkerError)
        if event.lost:
            setback = handout.lost(event.worker)
        else:
            setback = handout.failed(event.worker, event.ticket or 0)
        self._roll.failed(event.worker, event.result.reason, setback, lost=event.lost)
        return Answered(self._given_up(setback, event.result.reason, handout), 0)

    def _given_up(
        self, setback: RetryDecision[R] | None, reason: str, handout: PartScheduler[R]
    ) -> tuple[tuple[R, Failure], ...]:
        if setback is None or setback.then != "given up":
            return ()
        if handout.given_up_in_a_row > GIVEN_UP_IN_A_ROW:
            raise ModelError(f"The workers fail whatever they are asked; the last one said: {reason}. {KEPT}")
        return tuple((request, Failure(f"failed twice: {reason}")) for request in setback.requests)


def _positions(piece: Piece[R]) -> frozenset[int]:
    if not piece.answered:
        return frozenset()
    return frozenset(index for index, one in enumerate(piece.requests) if one in piece.answered)
