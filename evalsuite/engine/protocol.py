"""The interface between a run and an engine: requests, events, `Tokenizer` and `Engine`."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from evalsuite.types import GenerateRequest, ModelIdentity, Response, ScoreRequest, TokenIds, sha256_of

if TYPE_CHECKING:
    from evalsuite.engine.planning.plan_cache import PlanCache

R = TypeVar("R", ScoreRequest, GenerateRequest)


@dataclass(frozen=True, slots=True)
class Planned:
    """How much a call will compute: the first event; repeated when an engine corrects its estimate."""

    tokens: int
    """Tokens of the whole call; an upper bound for generation."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The weights are loaded; timing starts here. Not sent when no request is left."""


@dataclass(frozen=True, slots=True)
class Answered(Generic[R]):
    """Answers that became ready together; a run stores them in one transaction."""

    answers: tuple[tuple[R, Response], ...]
    tokens: int
    """Tokens computed for them, padding not counted."""


EngineEvent = Planned | Begun | Answered[R]
"""What an engine yields while it works."""


def answers_in(events: Iterable[EngineEvent[R]]) -> Iterator[tuple[R, Response]]:
    """Each request with its answer, in the order of the events."""
    for event in events:
        if isinstance(event, Answered):
            yield from event.answers


class Tokenizer(Protocol):
    """Text to token ids."""

    @property
    def bos_id(self) -> int | None:
        """Id of the token that begins a sequence (BOS), if there is one."""
        ...

    @property
    def eos_id(self) -> int | None:
        """Id of the token that ends a sequence (EOS), if there is one."""
        ...

    @property
    def bos_text(self) -> str:
        """Spelling of the BOS token; empty if there is none."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the tokenizer for the run log; complete once it is loaded."""
        ...

    @property
    def prefix_id(self) -> int | None:
        """Id of the token put before a text without a context: the user's choice, else BOS, else EOS."""
        ...

    @property
    def special_texts(self) -> Mapping[int, str]:
        """Spellings of the special tokens, by id: the tokens that `decode` leaves out."""
        ...

    def encode(self, texts: Sequence[str], *, special_tokens: bool) -> list[list[int]]:
        """Token ids of each text; with `special_tokens`, the tokenizer adds its default special tokens.

        Raises:
            ValueError: the tokenizer cannot read one of the texts.
        """
        ...

    def offsets(self, text: str) -> tuple[Sequence[int], Sequence[tuple[int, int]]] | None:
        """Token ids without special tokens, and the characters (start, end) of each; None if unknown."""
        ...

    def decode(self, ids: Sequence[int] | TokenIds) -> str:
        """Text of the ids, special tokens left out."""
        ...

    def token_text(self, token: int) -> str:
        """One token for people to read: its text with its leading space; a special token by its name."""
        ...


class Engine(Protocol):
    """Answers requests. Heavy resources are loaded when first needed: a finished run loads no model.

    `EngineDefaults` implements the members that an engine may not need.
    """

    @property
    def identity(self) -> ModelIdentity:
        """What the answers depend on. An engine may have to load the weights to know it."""
        ...

    @property
    def expected_identity(self) -> ModelIdentity:
        """The part of `identity` that is known without loading the weights."""
        ...

    @property
    def knows_identity(self) -> bool:
        """Whether `identity` is known without loading the weights."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer; loaded when it is first used."""
        ...

    @property
    def max_length(self) -> int | None:
        """Context window in tokens; None where the model has no limit."""
        ...

    @property
    def vocabulary(self) -> int | None:
        """Vocabulary size: valid token ids are below it; needs no weights. None where it is unknown."""
        ...

    @property
    def device(self) -> str:
        """The model's device, for example "cuda:1"; empty where this process does not know it."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the model for the run log; complete once the requests are answered."""
        ...

    @property
    def ends_on_error(self) -> bool:
        """Whether an error in `score` or `generate` ends the engine, as with several processes per model."""
        ...

    def plan_for(self, device: str) -> None:
        """Make `partition` plan for `device`, where other processes hold the model."""
        ...

    def share_plans(self, plans: "PlanCache") -> None:
        """Use the plans that engines of the same tokenizer and sizes made before, and leave its own there."""
        ...

    def load(self) -> None:
        """Get ready to answer: load the weights, if the engine has any; raises ModelError if it cannot."""
        ...

    def begin_loading(self) -> None:
        """Load the weights in the background, if the engine can; errors are raised when they are needed."""
        ...

    def close(self) -> None:
        """Release the engine's resources, for example processes; a later call creates them again."""
        ...

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[EngineEvent[ScoreRequest]]:
        """Score the distinct `requests`, most work first: yields `Planned`, `Begun`, then `Answered` for all.

        All requests shape the plan, the answered ones too, so that a resumed run gives the remaining requests
        bit for bit the answers of an uninterrupted run. Requests in `answered` are skipped, unless another
        request has to be computed together with them.
        """
        ...

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[EngineEvent[GenerateRequest]]:
        """Generate texts for the distinct `requests`; `answered` and events are as in `score`."""
        ...

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """Cut distinct `requests` of one kind into independent work units, most work first.

        Scoring parts separately gives bit-identical results: requests that share work are in one part.
        Generated texts are the same except where two tokens are equally probable within rounding. The parts
        depend on the set of requests, not on their order or on the machine's free memory. Loads no weights.
        """
        ...


class EngineDefaults:
    """Members of `Engine` for an engine that preloads nothing, has nothing to close, and has no notes."""

    @property
    def expected_identity(self: Engine) -> ModelIdentity:
        """The identity, which is known from the start."""
        return self.identity

    @property
    def knows_identity(self) -> bool:
        """True."""
        return True

    @property
    def device(self) -> str:
        """Empty: unknown."""
        return ""

    @property
    def notes(self) -> tuple[str, ...]:
        """No notes."""
        return ()

    @property
    def ends_on_error(self) -> bool:
        """False: other requests can be answered after an error."""
        return False

    def plan_for(self, device: str) -> None:
        """Does nothing: parts are the same for every device."""

    def share_plans(self, plans: "PlanCache") -> None:
        """Does nothing: every plan is made anew."""

    def load(self) -> None:
        """Does nothing: the weights are loaded when they are needed."""

    def begin_loading(self) -> None:
        """Does nothing: the weights are loaded when they are needed."""

    def close(self) -> None:
        """Does nothing: there is nothing to release."""


def seed_of(request: GenerateRequest) -> int:
    """A seed for this request alone, so that samples differ; 31 bits, which every engine accepts."""
    return int(sha256_of([list(request.context), request.seed, request.sample])[:15], 16) % 2**31
