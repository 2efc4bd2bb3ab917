"""What runs in a worker's process: one engine, its weights loaded once. Knows nothing of Ray."""

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
    """How to make the engine that each worker holds."""

    spec: EngineSpec

    def make(self) -> Engine:
        """The engine, not yet loaded; a hub model that is not in the same folder here is looked up."""
        from evalsuite.engine.engines import make_engine

        files = self.spec.files
        absent = not all(folder.is_dir() for folder in (files.folder, files.adapter or files.folder))
        if files.hub_id and absent:
            files = resolve(files.hub_id, revision=files.revision)
        return make_engine(replace(self.spec, files=files))


@dataclass(frozen=True)
class Description:
    """What a worker is, told before it loads the weights."""

    place: str
    """Host and process."""
    version: str
    """Of evalsuite."""
    identity: ModelIdentity
    device: str


@dataclass(frozen=True)
class WorkResult:
    """A piece was answered."""

    responses: bytes
    """As `serialize.pack_responses` has them, in the order of the requests that needed an answer."""
    tokens: int
    seconds: float
    """At work."""
    notes: tuple[str, ...]
    """What the run log should say about the model."""


@dataclass(frozen=True)
class WorkerError:
    """The worker could not do it; exceptions do not travel, since not all of them can be sent."""

    reason: str
    for_the_user: bool = False
    """The reason is a whole sentence about the model, and would be the same everywhere."""
    unusable: bool = False
    """The process can do nothing more: an error on a GPU stays there."""


class ReplicaWorker:
    """Holds an engine and does what the driver asks, one thing at a time."""

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
        """What it is; makes the engine, and loads no weights."""
        return _guarded(self._describe)

    def load(self) -> WorkerError | None:
        """Load the weights, where the engine has some."""
        return _guarded(self._load)

    def answer(self, kind: str, sent: bytes, answered: frozenset[int]) -> WorkResult | WorkerError:
        """Answer a piece.

        Args:
            kind: "score" or "generate".
            sent: its requests, as `serialize.pack_requests` has them.
            answered: positions of those that need no answer.
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
        began = time.monotonic()
        requests = unpack_requests(sent)
        known = {requests[position] for position in answered}
        work: Callable[..., Iterator[EngineEvent]] = (
            self.engine.score if kind == "score" else self.engine.generate
        )
        received: dict[Any, Any] = {}
        tokens = 0
        for event in work(requests, answered=known):
            if isinstance(event, Answered):
                tokens += event.tokens
                for request, response in event.answers:
                    received.setdefault(request, response)
        nothing = Failure("the engine gave no answer")
        responses = pack_responses(received.get(one, nothing) for one in requests if one not in known)
        return WorkResult(responses, tokens, time.monotonic() - began, self.engine.notes)


def _guarded(work: Callable[[], T]) -> T | WorkerError:
    try:
        return work()
    except UserError as error:
        return WorkerError(str(error), for_the_user=True)
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        return WorkerError(reason.rstrip(": "), unusable="CUDA error" in str(error))
