"""Tensor parallelism: one model over several processes, each with a part of every layer.

Rank 0 drives: it alone reads data, keeps the store, writes the run folder and draws progress. It announces
each call of `score` or `generate` to the other ranks, which make the same call in lockstep, since plans
depend only on the requests. Collective operations need all processes, so that a failure of one process is a
failure of all: an error that the processes cannot agree on ends all of them, and the answers so far are kept.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.placement import SPREAD
from evalsuite.engine.protocol import EngineDefaults, EngineEvent, R
from evalsuite.engine.tensor_parallel.processes import TeamProcesses
from evalsuite.engine.tensor_parallel.ranks import Ranks
from evalsuite.errors import ProcessError, UserError
from evalsuite.types import GenerateRequest, ModelIdentity, ScoreRequest

ResultT = TypeVar("ResultT")


class TensorParallelEngine(EngineDefaults):
    """The native engine in several processes; see `protocol.Engine`.

    It does not load in the background: all processes load together, when rank 0 has work for them.

    Args:
        files: the model, from `evalsuite.checkpoints.resolve`.
        team: the rank of this process, and their number.
        device: "auto", "cpu" or "cuda".
        options: the other arguments of `TransformersEngine`.

    Raises:
        UserError: the device is "spread".
    """

    ends_on_error = True

    def __init__(self, files: ModelFiles, *, team: Ranks, device: str = "auto", **options: Any) -> None:
        if device == SPREAD:
            raise UserError("--device spread is for one process; start evalsuite without torchrun.")
        self.team = team
        self._processes = TeamProcesses(team, device)
        self._native = TransformersEngine(files, device=device, processes=self._processes, **options)
        self.tokenizer = self._native.tokenizer
        self._together = True
        """False while a collective operation may be running: then no other message can be sent."""

    @property
    def identity(self) -> ModelIdentity:
        """The native engine's identity with the number of processes; runs the trials if necessary."""
        if self.team.rank == 0 and not self.knows_identity:
            self.load()
        return self._native.identity

    @property
    def expected_identity(self) -> ModelIdentity:
        """The part of `identity` that is known without loading the weights."""
        return self._native.expected_identity

    @property
    def knows_identity(self) -> bool:
        """Whether `identity` is known without loading the weights."""
        return self._native.knows_identity

    @property
    def device(self) -> str:
        """This process's own device."""
        return self._native.device

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the model for the run log; complete once the requests are answered."""
        return self._native.notes

    @property
    def max_length(self) -> int | None:
        """Context window in tokens; None where the configuration states none."""
        return self._native.max_length

    @property
    def vocabulary(self) -> int | None:
        """Vocabulary size: valid token ids are below it; None where the configuration does not say."""
        return self._native.vocabulary

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """The native engine's parts."""
        return self._native.partition(requests)

    def load(self) -> None:
        """Load the weights and run the trials now; the other ranks mirror rank 0's call."""
        with self._lockstep("load"):
            self._native.load()

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[EngineEvent[ScoreRequest]]:
        """Score as the native engine does; the other ranks mirror rank 0's call."""
        with self._lockstep("score", tuple(requests), frozenset(answered)):
            yield from self._native.score(requests, answered)

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[EngineEvent[GenerateRequest]]:
        """Generate as the native engine does; the other ranks mirror rank 0's call."""
        with self._lockstep("generate", tuple(requests), frozenset(answered)):
            yield from self._native.generate(requests, answered)

    @contextmanager
    def _lockstep(self, *call: Any) -> Iterator[None]:
        """Make the other ranks do the same call; `call` is the method's name and its arguments."""
        with self._errors_explained():
            if self.team.rank == 0:
                self._processes.send("plan as", self._native.tried.known_forms)
                self._processes.send(*call)
            self._together = False
            yield
            self._together = True

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        """Raise a readable ProcessError if this process runs out of memory, or another one ended."""
        from torch import distributed

        from evalsuite.engine.native.memory import is_out_of_memory

        me = f"Process {self.team.rank} of {self.team.size}"
        try:
            yield
        except Exception as error:
            if is_out_of_memory(error):
                raise ProcessError(
                    f"{me} ran out of memory; use more processes or a smaller data type. "
                    "The answers so far are kept."
                ) from error
            if isinstance(error, distributed.DistError) or _LOST.search(str(error)):
                raise ProcessError(
                    f"{me} lost the others, one of which has ended; the answers so far are kept, "
                    "and the same command continues."
                ) from error
            raise

    def run_on_rank_zero(self, run: Callable[[], ResultT]) -> ResultT:
        """Call `run` on rank 0 and return its result on every rank; all ranks must call this method.

        Raises:
            UserError: on every rank, if `run` raises it between two calls of the model.
        """
        if self.team.rank:
            followed: ResultT = self._follow()
            return followed
        try:
            result = run()
        except BaseException as error:
            if self._together:
                self._processes.send("failed", str(error))
                self._processes.leave()
            raise
        self._processes.send("done", result)
        self._processes.leave()
        return result

    def _follow(self) -> Any:
        while True:
            with self._errors_explained():
                message = self._processes.send()
            match message:
                case "done", result:
                    self._processes.leave()
                    return result
                case "failed", sentence:
                    self._processes.leave()
                    raise UserError(sentence)
                case "plan as", known_forms:
                    self._native.tried.take_known_forms(known_forms)
                case ("load",):
                    self.load()
                case "score", requests, answered:
                    _finish(self.score(requests, answered))
                case "generate", requests, answered:
                    _finish(self.generate(requests, answered))


_LOST = re.compile(r"gloo|nccl|connection (closed|reset)", re.IGNORECASE)


def _finish(events: Iterator[EngineEvent[R]]) -> None:
    """Compute all answers and discard them: rank 0 keeps them."""
    for _ in events:
        pass
