"""Tensor parallelism: one model over several processes, each with a part of every layer.

The first process leads: it alone reads data, keeps the store, writes the folder and draws progress. What it
scores or generates it announces to the others, which do the same in lockstep, as plans depend on the requests
alone. Their collective operations need all of them, so whatever happens to one of them happens to all: what
cannot be agreed upon ends every process, and the answers so far are kept.
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
    """The native engine in a team of processes; see `protocol.Engine`.

    It does not load ahead: all processes load together, when the leader has work for them.

    Args:
        files: the model, from `evalsuite.checkpoints.resolve`.
        team: which of the processes this one is.
        device: "auto", "cpu" or "cuda".
        options: the other arguments of `TransformersEngine`.
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
        """False while a collective operation may be under way: then nothing else can be sent."""

    @property
    def identity(self) -> ModelIdentity:
        """As one process has it, and the number of processes; all of them try the model where nobody has
        yet."""
        if self.team.rank == 0 and not self.knows_identity:
            self.load()
        return self._native.identity

    @property
    def expected_identity(self) -> ModelIdentity:
        """`identity` as far as it is known without loading the weights."""
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
        """What the run log should say about the model; complete once the requests are answered."""
        return self._native.notes

    @property
    def max_length(self) -> int | None:
        """Context window in tokens; None where the configuration states none."""
        return self._native.max_length

    @property
    def vocabulary(self) -> int | None:
        """Token ids below this number are the model's; None where the configuration does not say."""
        return self._native.vocabulary

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """As one process does."""
        return self._native.partition(requests)

    def load(self) -> None:
        """Load the weights now, and try them; the leader's call is every process's."""
        with self._lockstep("load"):
            self._native.load()

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[EngineEvent[ScoreRequest]]:
        """As one process does; the leader's call is every process's."""
        with self._lockstep("score", tuple(requests), frozenset(answered)):
            yield from self._native.score(requests, answered)

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[EngineEvent[GenerateRequest]]:
        """As one process does; the leader's call is every process's."""
        with self._lockstep("generate", tuple(requests), frozenset(answered)):
            yield from self._native.generate(requests, answered)

    @contextmanager
    def _lockstep(self, *call: Any) -> Iterator[None]:
        """Let the others make the same call; `call` is the method's name and its arguments."""
        with self._errors_told():
            if self.team.rank == 0:
                self._processes.send("plan as", self._native.tried.known_forms)
                self._processes.send(*call)
            self._together = False
            yield
            self._together = True

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        """What one process alone meets, or another one's end, as a sentence."""
        from torch import distributed

        from evalsuite.engine.native.memory import is_out_of_memory

        me = f"Process {self.team.rank} of {self.team.size}"
        try:
            yield
        except Exception as error:
            if is_out_of_memory(error):
                raise ProcessError(
                    f"{me} ran out of memory; use more processes or a smaller data type. The answers so far are kept."
                ) from error
            if isinstance(error, distributed.DistError) or _LOST.search(str(error)):
                raise ProcessError(
                    f"{me} lost the others, one of which has ended; the answers so far are kept, the same command "
                    "continues."
                ) from error
            raise

    def run_on_rank_zero(self, run: Callable[[], ResultT]) -> ResultT:
        """Do `run` in the first process, whose result is that of every process; the others call it, too.

        Raises:
            UserError: in every process, where the leader met it between two passes of the model.
        """
        if self.team.rank:
            return self._follow()
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
            with self._errors_told():
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


def _finish(events: Iterator[EngineEvent]) -> None:
    """Compute all of them; the leader keeps the answers."""
    for _ in events:
        pass
