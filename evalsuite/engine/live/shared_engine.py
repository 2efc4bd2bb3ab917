"""An engine whose requests are shared by the processes of a training; rank 0 drives it.

Rank 0 runs the evaluation. It announces each call of `score` or `generate`; every process answers its share
of the parts with its own engine, and all answers are gathered. The parts are those of a single process, so
that the answers are, too.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, TypeVar

from evalsuite.engine.live.ranks import TrainingRanks
from evalsuite.engine.planning.partition import dealt, tokens_of
from evalsuite.engine.protocol import (
    Answered,
    Begun,
    Engine,
    EngineDefaults,
    EngineEvent,
    Planned,
    R,
    Tokenizer,
)
from evalsuite.errors import ProcessError, UserError
from evalsuite.types import GenerateRequest, ModelIdentity, Response, ScoreRequest

ResultT = TypeVar("ResultT")


class SharedEngine(EngineDefaults):
    """See `protocol.Engine`. Every process has one; only rank 0's is used by a run, the others follow it.

    Args:
        own: this process's engine.
        ranks: the processes.
    """

    ends_on_error = True

    def __init__(self, own: Engine, ranks: TrainingRanks) -> None:
        self._own = own
        self._ranks = ranks
        self._together = True
        """False once the processes do not wait for each other's messages any more."""

    @property
    def identity(self) -> ModelIdentity:
        """This process's engine's; the processes compute in the same numerics, which `load` makes sure of."""
        return self._own.identity

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return self._own.tokenizer

    @property
    def max_length(self) -> int | None:
        """Context window in tokens."""
        return self._own.max_length

    @property
    def vocabulary(self) -> int | None:
        """Vocabulary size."""
        return self._own.vocabulary

    @property
    def device(self) -> str:
        """This process's device."""
        return self._own.device

    @property
    def notes(self) -> tuple[str, ...]:
        """This process's engine's notes."""
        return self._own.notes

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """The parts of this process's engine, which are the same in all processes."""
        return self._own.partition(requests)

    def load(self) -> None:
        """Get ready in all processes, which all call this method.

        Raises:
            ModelError: in every process, if one is not ready, or computes in other forms than the others.
        """
        self._raise_first(self._ranks.gathered(self._attempt(self._own.load)[0]))
        names = self._ranks.gathered(self._own.identity.numerics)
        if len(set(names)) > 1:
            raise ProcessError(
                f"The processes would compute in different numerics: {'; '.join(sorted({*names}))}."
            )

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[EngineEvent[ScoreRequest]]:
        """As the engine of one process does, together with the other processes."""
        return self._shared("score", requests, answered)

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[EngineEvent[GenerateRequest]]:
        """As the engine of one process does, together with the other processes."""
        return self._shared("generate", requests, answered)

    def run_on_rank_zero(self, run: Callable[[], ResultT]) -> ResultT | None:
        """Call `run` on rank 0 and return its result there; other ranks follow it and return None.

        Raises:
            UserError: on every rank, if it is raised on one of them.
        """
        if self._ranks.rank:
            self._follow()
            return None
        try:
            result = run()
        except BaseException as error:
            if self._together:
                self._ranks.told_by_first(("failed", _sentence(error)))
            raise
        self._ranks.told_by_first(("done",))
        return result

    def _follow(self) -> None:
        while True:
            match self._ranks.told_by_first():
                case ("done",):
                    return
                case "failed", sentence:
                    raise ProcessError(f"The evaluation failed on rank 0: {sentence}")
                case name, requests, answered:
                    self._answer_share(name, requests, answered)

    def _shared(self, name: str, requests: Sequence[R], answered: Collection[R]) -> Iterator[EngineEvent[R]]:
        self._ranks.told_by_first((name, tuple(requests), frozenset(answered)))
        yield Planned(sum(map(tokens_of, self.partition(requests))))
        yield Begun()
        for answers, tokens in self._answer_share(name, requests, answered):
            yield Answered(answers, tokens)

    def _answer_share(
        self, name: str, requests: Sequence[R], answered: Collection[R]
    ) -> list[tuple[tuple[tuple[R, Response], ...], int]]:
        """Answer this process's share; the answers of all processes, and the tokens of each."""
        parts = self.partition(requests)
        mine = dealt([tokens_of(part) for part in parts], self._ranks.size)[self._ranks.rank]
        share = {request for index in mine for request in parts[index]}
        others = frozenset(request for request in requests if request not in share)
        work = getattr(self._own, name)

        def answer() -> list[Answered[R]]:
            events = work(requests, answered=others.union(answered))
            return [event for event in events if isinstance(event, Answered)]

        problem, events = self._attempt(answer)
        if problem and hasattr(self._own, "idle"):
            self._own.idle()
        received = tuple(pair for event in events or () for pair in event.answers)
        tokens = sum(event.tokens for event in events or ())
        found = self._ranks.gathered((problem, received, tokens))
        self._raise_first([problem for problem, _, _ in found])
        return [(answers, count) for _, answers, count in found]

    def _attempt(self, work: Callable[[], Any]) -> tuple[str, Any]:
        """A sentence on what failed, or an empty text; and the result.

        An error in the middle of a pass that the other processes do with this one cannot be told to them: it
        is raised.
        """
        try:
            return "", work()
        except Exception as error:
            if getattr(self._own, "is_amid_a_pass", False):
                self._together = False
                raise
            return _sentence(error), None

    def _raise_first(self, problems: Sequence[str]) -> None:
        for rank, problem in enumerate(problems):
            if problem:
                self._together = False
                raise ProcessError(f"Rank {rank}: {problem}")


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
