"""An engine whose requests are answered by workers, each with a replica of the model.

The driver plans and distributes the work; it loads no weights. A worker answers a part as any single process
would, so that answers depend neither on the number of workers nor on their order.
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
from evalsuite.engine.replicas.supervisor import ANSWERS_KEPT, ReplicaConfig, WorkerSupervisor
from evalsuite.engine.replicas.worker import EngineSetup, WorkerError, WorkResult
from evalsuite.errors import ModelError
from evalsuite.progress import WorkerState
from evalsuite.types import Failure, GenerateRequest, ModelIdentity, ScoreRequest

GIVEN_UP_IN_A_ROW = 8
"""Most requests that may fail in a row; after one more, the requests are not the cause."""


class ReplicatedEngine(EngineDefaults):
    """Answers requests with several workers; see `protocol.Engine`.

    The constructor starts no process. The workers start at the first `score` or `generate` with unanswered
    requests (in a cluster already when `identity` is read), load the weights once, and stay until `close`.

    Args:
        setup: the engine of each worker.
        config: how many workers to start, and where.
        report: is called with each change of a worker's state.

    Raises:
        UserError: Ray is not installed.
    """

    def __init__(
        self,
        setup: EngineSetup,
        config: ReplicaConfig,
        report: Callable[[WorkerState], None] = lambda state: None,
    ) -> None:
        ray_package()
        self._setup = setup
        self._planner = setup.make()
        self._status = WorkerStatus(report)
        self._supervisor = WorkerSupervisor(setup, config, self._status)
        self._in_cluster = config.address is not None
        self.tokenizer = self._planner.tokenizer

    @property
    def max_length(self) -> int | None:
        """Context window in tokens; None where the model has no limit."""
        return self._planner.max_length

    @property
    def vocabulary(self) -> int | None:
        """Vocabulary size: valid token ids are below it; None where it is unknown."""
        return self._planner.vocabulary

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the run log: on the model, and on failures and retries."""
        return self._status.notes

    @functools.cached_property
    def identity(self) -> ModelIdentity:
        """What the answers depend on.

        A worker determines the numerics in a cluster, since this machine may have no GPU, and if the model's
        trials have not run yet, since this process loads no weights.
        """
        if self.knows_identity:
            return self._planner.identity
        spec = self._setup.spec
        return replace(
            self._supervisor.first_description.identity,
            weights=weights_digest(spec.files, verify=spec.verify_weights),
            tokenizer=tokenizer_digest(spec.tokens.files(spec.files), verify=spec.verify_weights),
        )

    @property
    def knows_identity(self) -> bool:
        """Whether `identity` is known without a worker."""
        return self._planner.knows_identity and not self._in_cluster

    @property
    def expected_identity(self) -> ModelIdentity:
        """The part of `identity` that is known without loading the model; in a cluster, all of it."""
        return self.identity if self._in_cluster else self._planner.expected_identity

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """The parts of the workers' own engine; see `protocol.Engine`."""
        if self._in_cluster:
            self._planner.plan_for(self._supervisor.first_description.device)
        return self._planner.partition(requests)

    def load(self) -> None:
        """Wait until all workers have loaded their weights; answering needs only the first worker."""
        while len(self._supervisor.ready) < self._supervisor.size:
            self._supervisor.load(self.identity, metadata.version("evalsuite"))
            for event in self._supervisor.events():
                if isinstance(event.result, WorkerError):
                    self._status.failed(event.worker, event.result.reason, None, lost=event.lost)

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
        """Generate texts for the distinct `requests`; errors are as in `score`."""
        yield from self._answer("generate", requests, answered)

    def close(self) -> None:
        """End the workers; a later call starts new ones."""
        self._supervisor.close()

    def _answer(self, kind: str, requests: Sequence[R], answered: Collection[R]) -> Iterator[EngineEvent[R]]:
        parts = [
            part for part in self.partition(requests) if any(request not in answered for request in part)
        ]
        scheduler = PartScheduler(parts, answered, self._supervisor.size if parts else 0)
        planned = sum(tokens_of([request for request in part if request not in answered]) for part in parts)
        yield Planned(planned)
        self._status.begin()
        begun = False
        try:
            while not scheduler.done:
                self._supervisor.load(self.identity, metadata.version("evalsuite"))
                self._distribute(scheduler, kind)
                if self._supervisor.ready and not begun:
                    begun = True
                    yield Begun()
                for event in self._supervisor.events():
                    answered_now = self._answers(event, scheduler)
                    if answered_now.answers:
                        yield answered_now
        finally:
            if not scheduler.done:  # the caller has stopped reading; end the workers' useless work
                self.close()

    def _distribute(self, scheduler: PartScheduler[R], kind: str) -> None:
        ready = self._supervisor.ready
        alive = frozenset(ready)
        for worker in ready:
            while taken := scheduler.take(worker, alive):
                ticket, piece = taken
                tokens = tokens_of(piece.left)
                self._supervisor.give(
                    worker, ticket, tokens, kind, pack_requests(piece.requests), _answered_indices(piece)
                )

    def _answers(self, event: Event, scheduler: PartScheduler[R]) -> Answered[R]:
        """The answers of an event; none if it is a failure that will be retried."""
        if isinstance(event.result, WorkResult) and event.ticket is not None:
            requests = scheduler.answered(event.worker, event.ticket)
            responses = unpack_responses(event.result.responses)
            self._status.did(event.worker, len(requests), event.result)
            return Answered(tuple(zip(requests, responses, strict=True)), event.result.tokens)
        assert isinstance(event.result, WorkerError)
        if event.lost:
            decision = scheduler.lost(event.worker)
        else:
            decision = scheduler.failed(event.worker, event.ticket or 0)
        self._status.failed(event.worker, event.result.reason, decision, lost=event.lost)
        return Answered(self._given_up(decision, event.result.reason, scheduler), 0)

    def _given_up(
        self, decision: RetryDecision[R] | None, reason: str, scheduler: PartScheduler[R]
    ) -> tuple[tuple[R, Failure], ...]:
        if decision is None or decision.then != "given up":
            return ()
        if scheduler.given_up_in_a_row > GIVEN_UP_IN_A_ROW:
            raise ModelError(
                f"The workers fail on every request; the last error was: {reason}. {ANSWERS_KEPT}"
            )
        return tuple((request, Failure(f"failed twice: {reason}")) for request in decision.requests)


def _answered_indices(piece: Piece[R]) -> frozenset[int]:
    if not piece.answered:
        return frozenset()
    return frozenset(index for index, request in enumerate(piece.requests) if request in piece.answered)
