"""The code of a worker's process: one engine, whose weights are loaded once; independent of Ray."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any, TypeVar

from evalsuite.checkpoints import resolve
from evalsuite.engine.placement import wait_without_spinning
from evalsuite.engine.protocol import Answered, Engine, EngineEvent
from evalsuite.engine.replicas.serialize import pack_responses, unpack_requests
from evalsuite.engine.settings import EngineSpec
from evalsuite.errors import UserError
from evalsuite.types import Failure, ModelIdentity

T = TypeVar("T")


@dataclass(frozen=True)
class EngineSetup:
    """How each worker makes its engine."""

    spec: EngineSpec

    def make(self) -> Engine:
        """The engine, not yet loaded; a hub model whose folder does not exist here is resolved again."""
        from evalsuite.engine.engines import make_engine

        files = self.spec.files
        absent = not all(folder.is_dir() for folder in (files.folder, files.adapter or files.folder))
        if files.hub_id and absent:
            files = resolve(files.hub_id, revision=files.revision)
        return make_engine(replace(self.spec, files=files))


@dataclass(frozen=True)
class Description:
    """A worker's description of itself, before it loads the weights."""

    place: str
    """Host and process id."""
    version: str
    """Version of evalsuite."""
    identity: ModelIdentity
    device: str


@dataclass(frozen=True)
class WorkResult:
    """The answers of a piece."""

    responses: bytes
    """From `serialize.pack_responses`, in the order of the requests that needed an answer."""
    tokens: int
    seconds: float
    """Computing time."""
    notes: tuple[str, ...]
    """Notes on the model for the run log."""


@dataclass(frozen=True)
class WorkerError:
    """A worker's failure. Exceptions are not sent, since not all of them can be pickled."""

    reason: str
    for_the_user: bool = False
    """Whether the reason is a full sentence about the model, and would be the same on every worker."""
    unusable: bool = False
    """Whether the process cannot continue: a CUDA error persists."""


class ReplicaWorker:
    """Holds an engine and executes the driver's calls, one at a time."""

    def __init__(self, setup: EngineSetup, threads: int) -> None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
        wait_without_spinning()
        self._setup = setup
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The engine, once `describe` has made it."""
        assert self._engine is not None, "describe comes first"
        return self._engine

    def describe(self) -> Description | WorkerError:
        """Make the engine, without its weights, and describe this worker."""
        return _guarded(self._describe)

    def load(self) -> WorkerError | None:
        """Load the weights, if the engine has any."""
        return _guarded(self._load)

    def answer(self, kind: str, sent: bytes, answered: frozenset[int]) -> WorkResult | WorkerError:
        """Answer a piece.

        Args:
            kind: "score" or "generate".
            sent: the piece's requests, from `serialize.pack_requests`.
            answered: indices of the requests that need no answer.
        """
        return _guarded(lambda: self._answer(kind, sent, answered))

    def _describe(self) -> Description:
        self._engine = self._setup.make()
        return Description(
            f"{socket.gethostname()}, process {os.getpid()}",
            metadata.version("evalsuite"),
            self._engine.identity,
            self._engine.device,
        )

    def _load(self) -> None:
        self.engine.load()

    def _answer(self, kind: str, sent: bytes, answered: frozenset[int]) -> WorkResult:
        started = time.monotonic()
        requests = unpack_requests(sent)
        known = {requests[index] for index in answered}
        work: Callable[..., Iterator[EngineEvent[Any]]] = (
            self.engine.score if kind == "score" else self.engine.generate
        )
        received: dict[Any, Any] = {}
        tokens = 0
        for event in work(requests, answered=known):
            if isinstance(event, Answered):
                tokens += event.tokens
                for request, response in event.answers:
                    received.setdefault(request, response)
        missing = Failure("the engine gave no answer")
        responses = pack_responses(
            received.get(request, missing) for request in requests if request not in known
        )
        return WorkResult(responses, tokens, time.monotonic() - started, self.engine.notes)


def _guarded(work: Callable[[], T]) -> T | WorkerError:
    try:
        return work()
    except UserError as error:
        return WorkerError(str(error), for_the_user=True)
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        return WorkerError(reason.rstrip(": "), unusable="CUDA error" in str(error))
