"""From prompts to token-level requests; what does not fit the context window is found here."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from evalsuite.engine.protocol import Tokenizer
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.encode import (
    Encoded,
    encode_contexts,
    encode_documents,
    encode_last_tokens,
    encode_rolling,
)
from evalsuite.requests.token_ids import what_is_added
from evalsuite.types import (
    Bos,
    ClozePair,
    Encoding,
    GenerateRequest,
    Join,
    MultipleChoice,
    Prompt,
    Request,
    ScoreRequest,
    TokenIds,
)

T = TypeVar("T")
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class DocumentRequests:
    """What one document asks of the engine."""

    prompt: Prompt
    shots: int
    """Shots shown."""
    requests: tuple[Request, ...]
    """In the order of the continuations, or of the samples; empty where it cannot be asked."""
    tokens: int
    """Tokens of its longest request."""
    joined: bool = False
    """A token spans the join of a context and its continuation."""
    realigned: bool = False
    """Its choices are therefore scored from the last token boundary that they share."""
    scores_bos: bool = False
    """A BOS token is among the scored ones."""
    shortened: bool = False
    """The prompt lost its beginning, to leave room for the answer."""
    problem: str = ""
    """Why there is nothing to ask (an empty choice, say); the document ends as failed."""

    @property
    def too_long(self) -> bool:
        """It does not fit the context window."""
        return not (self.requests or self.problem)


def build_requests(
    prepared: PreparedTask, tokenizer: Tokenizer, window: int | None, seed: int
) -> list[DocumentRequests]:
    """The requests of each document of a task.

    Args:
        prepared: the documents and their prompts.
        tokenizer: the model's.
        window: context window in tokens, or None. A scored continuation's last token needs no place
            in it; a generated text needs at least one.
        seed: seed of sampled generation.
    """
    spec = prepared.selected.spec
    window = min(filter(None, (window, spec.window)), default=None)
    asked = _encoded(prepared.prompts, prepared.shots_shown, tokenizer, window, seed)
    if spec.overlong == "drop_shots":
        for place, first in enumerate(asked):
            if first.too_long:
                asked[place] = _with_fewer_shots(prepared, place, first, tokenizer, window, seed)
    return [_apart(prepared, place, one) for place, one in enumerate(asked)]


def _apart(prepared: PreparedTask, place: int, asked: DocumentRequests) -> DocumentRequests:
    """The same, or without requests where two of its choices cannot be told apart by their tokens."""
    if not isinstance(prepared.documents[place].question, MultipleChoice | ClozePair):
        return asked  # Accepted answers are not compared with each other.
    texts: dict[Request, tuple[str, str]] = {}
    for request, pair in zip(asked.requests, asked.prompt.pairs, strict=False):
        if texts.setdefault(request, pair) != pair:
            one, other = texts[request][1], pair[1]
            problem = f"the choices {one[:60]!r} and {other[:60]!r} become the same tokens"
            return replace(asked, requests=(), problem=problem)
    return asked


def _with_fewer_shots(
    prepared: PreparedTask,
    place: int,
    longest: DocumentRequests,
    tokenizer: Tokenizer,
    window: int | None,
    seed: int,
) -> DocumentRequests:
    for shots in reversed(range(longest.shots)):
        shorter = _encoded([prepared.prompt(place, shots)], [shots], tokenizer, window, seed)[0]
        if not shorter.too_long:
            return shorter
    return longest


def _encoded(
    prompts: Sequence[Prompt], shots: Sequence[int], tokenizer: Tokenizer, window: int | None, seed: int
) -> list[DocumentRequests]:
    """The requests of each prompt; prompts that are asked in one way are encoded together."""
    ways: dict[tuple[bool, Bos, Join, Encoding], list[int]] = {}
    asked: dict[int, DocumentRequests] = {}
    for place, prompt in enumerate(prompts):
        if problem := _unreadable(prompt, tokenizer):
            asked[place] = DocumentRequests(prompt, shots[place], (), 0, problem=problem)
        else:
            way = (prompt.generation is not None, prompt.bos, prompt.join, prompt.encoding)
            ways.setdefault(way, []).append(place)
    for places in ways.values():
        some = _encoded_alike(
            [prompts[place] for place in places], [shots[place] for place in places], tokenizer, window, seed
        )
        asked.update(zip(places, some, strict=True))
    return [asked[place] for place in range(len(prompts))]


def _unreadable(prompt: Prompt, tokenizer: Tokenizer) -> str:
    """Why no tokenizer can read a prompt; empty if one can."""
    if prompt.bos == "always" and tokenizer.bos_id is None:
        return "the prompt begins with a BOS token, and the tokenizer has none"
    for text in (*prompt.contexts, *prompt.continuations):
        if not text.isascii() and (half := SURROGATE.search(text)):
            return f"its text holds half of a character (the lone surrogate U+{ord(half[0]):04X})"
    return ""


def _encoded_alike(
    prompts: Sequence[Prompt], shots: Sequence[int], tokenizer: Tokenizer, window: int | None, seed: int
) -> list[DocumentRequests]:
    if prompts[0].generation is not None:
        contexts = _each(
            lambda some: encode_contexts(tokenizer, [prompt.contexts[0] for prompt in some], prompts[0].bos),
            prompts,
        )
        return [
            _asked_generation(*fields, window, seed) for fields in zip(prompts, shots, contexts, strict=True)
        ]
    encoded = _each(lambda some: _encoded_pairs(tokenizer, some, window), prompts)
    return [_asked_scores(*fields, window) for fields in zip(prompts, shots, encoded, strict=True)]


def _each(encode: Callable[[Sequence[Prompt]], list[T | str]], prompts: Sequence[Prompt]) -> list[T | str]:
    """What `encode` gives for each prompt; a text that the tokenizer cannot read costs only its own
    document."""
    try:
        return encode(prompts)
    except ValueError as error:
        if len(prompts) == 1:
            return [str(error)]
        half = len(prompts) // 2
        return [*_each(encode, prompts[:half]), *_each(encode, prompts[half:])]


def _encoded_pairs(
    tokenizer: Tokenizer, prompts: Sequence[Prompt], window: int | None
) -> list[list[Encoded] | str]:
    """The encoded pairs of each prompt, or why they cannot be encoded."""
    bos, encoding = prompts[0].bos, prompts[0].encoding
    if prompts[0].join == "rolling":
        texts = [prompt.continuations[0] for prompt in prompts]
        return encode_rolling(tokenizer, texts, bos, window, encoding)
    pairs = [prompt.pairs for prompt in prompts]
    if prompts[0].join == "last_token":
        return encode_last_tokens(tokenizer, pairs, bos)
    return encode_documents(tokenizer, pairs, bos, encoding)


def _asked_scores(
    prompt: Prompt, shots: int, encoded: list[Encoded] | str, window: int | None
) -> DocumentRequests:
    if isinstance(encoded, str):
        return DocumentRequests(prompt, shots, (), 0, problem=encoded)
    if not encoded:
        return DocumentRequests(prompt, shots, (), 0, problem="There are no choices.")
    requests = tuple(one.request for one in encoded)
    tokens = max(len(request.context) + len(request.continuation) - 1 for request in requests)
    fits = window is None or tokens <= window
    return DocumentRequests(
        prompt,
        shots,
        requests if fits else (),
        tokens,
        joined=any(one.joined for one in encoded),
        realigned=any(one.realigned for one in encoded),
        scores_bos=any(one.scores_bos for one in encoded),
    )


def _asked_generation(
    prompt: Prompt, shots: int, context: TokenIds | str, window: int | None, seed: int
) -> DocumentRequests:
    settings = prompt.generation
    assert settings is not None
    if isinstance(context, str):
        return DocumentRequests(prompt, shots, (), 0, problem=context)
    if not context:
        return DocumentRequests(prompt, shots, (), 0, problem="The prompt encodes to no token.")
    tokens, shortened = len(context), False
    if settings.backend == "lm_eval_hf" and window is not None:
        room = window - settings.max_tokens
        if room < 1:
            problem = (
                f"the answer may have {settings.max_tokens} tokens, and the context window holds {window}"
            )
            return DocumentRequests(prompt, shots, (), tokens, problem=problem)
        context, shortened = context[-room:], tokens > room
    sampled = settings.temperature > 0
    requests = tuple(
        GenerateRequest(
            context,
            settings.stop,
            settings.max_tokens,
            settings.temperature,
            settings.top_p if sampled else 1.0,
            seed if sampled else 0,
            sample,
            settings.backend,
        )
        for sample in range(settings.samples)
    )
    fits = window is None or len(context) < window
    return DocumentRequests(prompt, shots, requests if fits else (), tokens, shortened=shortened)


def score_requests(asked: Sequence[DocumentRequests]) -> list[ScoreRequest]:
    """The distinct scoring requests, in order."""
    return list(dict.fromkeys(r for one in asked for r in one.requests if isinstance(r, ScoreRequest)))


def generate_requests(asked: Sequence[DocumentRequests]) -> list[GenerateRequest]:
    """The distinct generation requests, in order."""
    return list(dict.fromkeys(r for one in asked for r in one.requests if isinstance(r, GenerateRequest)))


def token_notes(
    prepared: PreparedTask, asked: Sequence[DocumentRequests], tokenizer: Tokenizer
) -> tuple[str, ...]:
    """What depends on the tokenizer: which tokens stood for letters that are encoded by themselves, what it
    appends."""
    notes: list[str] = []
    first = next((one for one in asked if one.requests), None)
    if first is None:
        return ()
    if prepared.selected.spec.join == "last_token":
        ids = [request.continuation[0] for request in first.requests if isinstance(request, ScoreRequest)]
        shown = ", ".join(f"{tokenizer.token_text(one)!r} ({one})" for one in ids)
        notes.append(f"Letters were scored by the tokens {shown}.")
    if first.prompt.bos == "tokenizer" and (appended := what_is_added(tokenizer).after):
        shown = " ".join(map(tokenizer.token_text, appended))
        notes.append(
            f"The tokenizer appends {shown} to every text, which is left out of prompts and answers."
        )
    return tuple(notes)
