"""What the runner asks of an engine, and what it gets back."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from evalsuite.types import GenerateRequest, ModelIdentity, Response, ScoreRequest, TokenIds, sha256_of

R = TypeVar("R", ScoreRequest, GenerateRequest)


@dataclass(frozen=True, slots=True)
class Block(Generic[R]):
    """Answers that became ready together; the runner stores a block in one transaction."""

    answers: tuple[tuple[R, Response], ...]
    tokens: int
    """Tokens computed for them, padding not counted."""
    planned: int
    """Tokens of the whole call, known before the first answer; an upper bound for generation."""


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
    def prefix_id(self) -> int | None:
        """Token that stands before a text without a context: the one that the user named, else BOS, else EOS."""
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
    """Answers requests. Nothing heavy is loaded before it is needed: a finished run loads no model."""

    @property
    def identity(self) -> ModelIdentity:
        """What the answers depend on; known without loading the weights."""
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
        """Token ids below this number are the model's; known without loading the weights. None where it is not known."""
        ...

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[Block[ScoreRequest]]:
        """Score the distinct `requests`, most work first.

        Empty blocks come first: one that tells `planned`, one when the work begins (weights loaded).

        All of them shape the plan, so that a run that goes on after some of its blocks computes the others as an
        uninterrupted one does, to the last digit; what is in `answered` is left out, as far as nothing else
        has to be computed with it.
        """
        ...

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[Block[GenerateRequest]]:
        """Generate for the distinct `requests`; `answered` as in `score`."""
        ...

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """Cut distinct `requests` of one kind into independent work units, most work first.

        Scoring parts separately gives bit-identical results: what is worth sharing stands in one part. Generated
        texts are the same but where two tokens are equally probable within rounding. A function of the set of
        requests, not of their order or of the machine's free memory. Loads no weights.
        """
        ...


def seed_of(request: GenerateRequest) -> int:
    """The request's own seed, so that no two samples are alike: 31 bits, which every engine takes."""
    return int(sha256_of([list(request.context), request.seed, request.sample])[:15], 16) % 2**31
