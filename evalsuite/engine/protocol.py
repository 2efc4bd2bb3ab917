"""What a run asks of an engine, and what it gets back."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from evalsuite.types import GenerateRequest, ModelIdentity, Response, ScoreRequest, TokenIds, sha256_of

R = TypeVar("R", ScoreRequest, GenerateRequest)


@dataclass(frozen=True, slots=True)
class Planned:
    """How much a call will compute. Comes first; comes again when an engine corrects its estimate."""

    tokens: int
    """Of the whole call; an upper bound for generation."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The weights are loaded and the work begins: its clock starts here. Not sent where nothing is left to
    do."""


@dataclass(frozen=True, slots=True)
class Answered(Generic[R]):
    """Answers that became ready together; a run stores them in one transaction."""

    answers: tuple[tuple[R, Response], ...]
    tokens: int
    """Tokens computed for them, padding not counted."""


EngineEvent = Planned | Begun | Answered[R]
"""What an engine yields while it works."""


def answers_in(events: Iterable[EngineEvent[R]]) -> Iterator[tuple[R, Response]]:
    """Each request with its answer, as the events bring them."""
    for event in events:
        if isinstance(event, Answered):
            yield from event.answers


class Tokenizer(Protocol):
    """Text to token ids."""

    @property
    def bos_id(self) -> int | None:
        """Token that begins a sequence, if there is one."""
        ...

    @property
    def eos_id(self) -> int | None:
        """Token that ends a sequence, if there is one."""
        ...

    @property
    def bos_text(self) -> str:
        """How the BOS token is spelled; empty if there is none."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the run log should say about it; complete once it is loaded."""
        ...

    @property
    def prefix_id(self) -> int | None:
        """Token that stands before a text without a context: the one that the user named, else BOS, else
        EOS."""
        ...

    @property
    def special_texts(self) -> Mapping[int, str]:
        """How its special tokens are spelled, by id: those that `decode` leaves out."""
        ...

    def encode(self, texts: Sequence[str], *, special_tokens: bool) -> list[list[int]]:
        """Token ids of each text; `special_tokens` lets the tokenizer add what it adds by default.

        Raises:
            ValueError: the tokenizer cannot read one of the texts.
        """
        ...

    def decode(self, ids: Sequence[int] | TokenIds) -> str:
        """Text of the ids, special tokens left out."""
        ...

    def token_text(self, token: int) -> str:
        """One token for people to read: its text with its blank, a special token by its name."""
        ...


class Engine(Protocol):
    """Answers requests. Nothing heavy is loaded before it is needed: a finished run loads no model.

    `EngineDefaults` has the members that an engine may have no use for.
    """

    @property
    def identity(self) -> ModelIdentity:
        """What the answers depend on. An engine may have to load the weights to know it."""
        ...

    @property
    def expected_identity(self) -> ModelIdentity:
        """`identity` as far as it is known without loading the weights."""
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
        """Token ids below this number are the model's; known without loading the weights. None where it is
        not known."""
        ...

    @property
    def device(self) -> str:
        """The device that the model is on, for example "cuda:1"; empty where that is not known here."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the run log should say about the model; complete once the requests are answered."""
        ...

    @property
    def ends_on_error(self) -> bool:
        """Whether an error in `score` or `generate` ends the engine, as when several processes compute
        together."""
        ...

    def plan_for(self, device: str) -> None:
        """Partition from now on as on that device, where other processes hold the model."""
        ...

    def load(self) -> None:
        """Get ready to answer, which means loading the weights where there are some; raises ModelError if it
        cannot."""
        ...

    def begin_loading(self) -> None:
        """Load the weights beside other work, if the engine can; what is wrong with them is said when they
        are needed."""
        ...

    def close(self) -> None:
        """Give back what the engine holds, for example processes; a later call makes it anew."""
        ...

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[EngineEvent[ScoreRequest]]:
        """Score the distinct `requests`, most work first: `Planned`, then `Begun`, then `Answered` until all
        are.

        All of them shape the plan, so that a run that goes on after some of its answers computes the others
        as an uninterrupted one does, to the last digit; what is in `answered` is left out, as far as nothing
        else has to be computed with it.
        """
        ...

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[EngineEvent[GenerateRequest]]:
        """Generate for the distinct `requests`; `answered` and events as in `score`."""
        ...

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """Cut distinct `requests` of one kind into independent work units, most work first.

        Scoring parts separately gives bit-identical results: what is worth sharing stands in one part.
        Generated texts are the same but where two tokens are equally probable within rounding. A function of
        the set of requests, not of their order or of the machine's free memory. Loads no weights.
        """
        ...


class EngineDefaults:
    """Members of `Engine` for an engine that has nothing to load ahead, to close or to say."""

    @property
    def expected_identity(self: Engine) -> ModelIdentity:
        """`identity`."""
        return self.identity

    @property
    def knows_identity(self) -> bool:
        """It is."""
        return True

    @property
    def device(self) -> str:
        """Not known here."""
        return ""

    @property
    def notes(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def ends_on_error(self) -> bool:
        """It does not: other requests can be answered after an error."""
        return False

    def plan_for(self, device: str) -> None:
        """Nothing: parts are the same for every device."""

    def load(self) -> None:
        """Nothing: the weights are loaded when they are needed."""

    def begin_loading(self) -> None:
        """Nothing: the weights are loaded when they are needed."""

    def close(self) -> None:
        """Nothing."""


def seed_of(request: GenerateRequest) -> int:
    """The request's own seed, so that no two samples are alike: 31 bits, which every engine takes."""
    return int(sha256_of([list(request.context), request.seed, request.sample])[:15], 16) % 2**31
