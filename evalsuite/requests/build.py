"""Builds token-level requests from prompts, and finds documents that do not fit the context window."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from evalsuite.engine.protocol import Tokenizer
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.apart import encode_apart
from evalsuite.requests.encode import (
    Encoded,
    encode_contexts,
    encode_documents,
    encode_last_tokens,
)
from evalsuite.requests.rolling import encode_rolling
from evalsuite.requests.spans import encode_pieces, encode_wholes
from evalsuite.requests.token_bytes import token_bytes
from evalsuite.requests.token_ids import begin_id, what_is_added
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
    """The requests of one document."""

    prompt: Prompt
    shots: int
    """Number of shots in the prompt."""
    requests: tuple[Request, ...]
    """Requests in the order of continuations or samples; empty if there is a problem or it is too long."""
    tokens: int
    """Number of tokens of the longest request."""
    joined: bool = False
    """Whether a token spans a context and its continuation."""
    realigned: bool = False
    """Whether the choices are therefore scored from their last common token boundary."""
    scores_bos: bool = False
    """Whether a BOS token is among the scored tokens."""
    shortened: bool = False
    """Whether the beginning of the prompt was cut, to leave space for the answer."""
    token_bytes: tuple[int, ...] = ()
    """Bytes of each scored token of a held-out text."""
    altered: bool = False
    """Whether the tokens of a held-out text decode to another text."""
    window: int | None = None
    """Context window in tokens, on which the windows of a held-out text depend."""
    problem: str = ""
    """Reason why there are no requests (an empty choice, for example); the document fails."""

    def without_tokens(self) -> "DocumentRequests":
        """The same, except that each request of a held-out text is an empty one, which needs no memory."""
        if self.prompt.join != "rolling":
            return self
        return replace(self, requests=(ScoreRequest((), ()),) * len(self.requests), token_bytes=())

    @property
    def too_long(self) -> bool:
        """Whether the document does not fit the context window."""
        return not (self.requests or self.problem)


def build_requests(
    prepared: PreparedTask, tokenizer: Tokenizer, window: int | None, seed: int
) -> list[DocumentRequests]:
    """The requests of each document of a task.

    Args:
        prepared: the documents and their prompts.
        tokenizer: the model's tokenizer.
        window: context window in tokens, or None. It need not hold a scored continuation's last token, but
            must have space for at least one generated token.
        seed: seed of sampled generation.
    """
    spec = prepared.selected.spec
    window = min(filter(None, (window, spec.window)), default=None)
    cut = spec.overlong == "cut"
    asked = _encoded(prepared.prompts, prepared.shots_shown, tokenizer, None if cut else window, seed)
    if cut and window is not None:
        # A continuation's last token is no input: llm-foundry counts it all the same, Ai2 does not.
        size = window + 1 if spec.join == "apart" else window
        asked = [_cut(one, size) for one in asked]
    if spec.overlong == "drop_shots":
        for index, first in enumerate(asked):
            if first.too_long:
                asked[index] = _with_fewer_shots(prepared, index, first, tokenizer, window, seed)
    return [_distinct(prepared, index, requests) for index, requests in enumerate(asked)]


def _distinct(prepared: PreparedTask, index: int, asked: DocumentRequests) -> DocumentRequests:
    """The requests, or a problem if two of the choices have the same tokens."""
    if not isinstance(prepared.documents[index].question, MultipleChoice | ClozePair):
        return asked  # Accepted answers are not compared with each other.
    texts: dict[Request, tuple[str, str]] = {}
    for request, pair in zip(asked.requests, asked.prompt.pairs, strict=False):
        if texts.setdefault(request, pair) != pair:
            first, second = texts[request][1], pair[1]
            problem = f"the choices {first[:60]!r} and {second[:60]!r} have the same tokens"
            return replace(asked, requests=(), problem=problem)
    return asked


def _cut(asked: DocumentRequests, size: int) -> DocumentRequests:
    """The scoring requests with contexts cut at the beginning, so that each has `size` tokens at most."""
    scores = [request for request in asked.requests if isinstance(request, ScoreRequest)]
    if all(len(request.context) + len(request.continuation) <= size for request in scores):
        return asked
    if any(len(request.continuation) >= size for request in scores):
        return replace(asked, requests=())
    kept = tuple(
        replace(request, context=request.context[-(size - len(request.continuation)) :]) for request in scores
    )
    return replace(asked, requests=kept, shortened=True)


def _with_fewer_shots(
    prepared: PreparedTask,
    index: int,
    longest: DocumentRequests,
    tokenizer: Tokenizer,
    window: int | None,
    seed: int,
) -> DocumentRequests:
    for shots in reversed(range(longest.shots)):
        shorter = _encoded([prepared.prompt(index, shots)], [shots], tokenizer, window, seed)[0]
        if not shorter.too_long:
            return shorter
    return longest


def _encoded(
    prompts: Sequence[Prompt], shots: Sequence[int], tokenizer: Tokenizer, window: int | None, seed: int
) -> list[DocumentRequests]:
    """The requests of each prompt; prompts with the same encoding settings are encoded together."""
    groups: dict[tuple[bool, Bos, Join, Encoding, int | None], list[int]] = {}
    asked: dict[int, DocumentRequests] = {}
    for index, prompt in enumerate(prompts):
        if problem := _unreadable(prompt, tokenizer):
            asked[index] = DocumentRequests(prompt, shots[index], (), 0, problem=problem)
        else:
            settings = (
                prompt.generation is not None,
                prompt.bos,
                prompt.join,
                prompt.encoding,
                prompt.stride,
            )
            groups.setdefault(settings, []).append(index)
    for group in groups.values():
        encoded = _encoded_alike(
            [prompts[index] for index in group], [shots[index] for index in group], tokenizer, window, seed
        )
        asked.update(zip(group, encoded, strict=True))
    return [asked[index] for index in range(len(prompts))]


def _unreadable(prompt: Prompt, tokenizer: Tokenizer) -> str:
    """The reason why the tokenizer cannot read a prompt; empty if it can."""
    if prompt.bos in ("always", "document") and begin_id(tokenizer, prompt.bos) is None:
        return "the prompt begins with a BOS token, but the tokenizer has none"
    for text in (*prompt.contexts, *prompt.continuations):
        if not text.isascii() and (half := SURROGATE.search(text)):
            return f"its text contains half of a character (the lone surrogate U+{ord(half[0]):04X})"
    return ""


def _encoded_alike(
    prompts: Sequence[Prompt], shots: Sequence[int], tokenizer: Tokenizer, window: int | None, seed: int
) -> list[DocumentRequests]:
    if prompts[0].generation is not None:
        contexts = _each(
            lambda part: encode_contexts(tokenizer, [prompt.contexts[0] for prompt in part], prompts[0].bos),
            prompts,
        )
        return [
            _asked_generation(*fields, window, seed) for fields in zip(prompts, shots, contexts, strict=True)
        ]
    encoded = _each(lambda part: _encoded_pairs(tokenizer, part, window), prompts)
    asked = [_asked_scores(*fields, window) for fields in zip(prompts, shots, encoded, strict=True)]
    return (
        [_with_token_bytes(one, tokenizer, window) for one in asked]
        if prompts[0].join == "rolling"
        else asked
    )


def _with_token_bytes(asked: DocumentRequests, tokenizer: Tokenizer, window: int | None) -> DocumentRequests:
    """The requests of a whole text with the bytes of their tokens, and whether these are the same text."""
    text = asked.prompt.continuations[0]
    scored = (request.continuation for request in asked.requests if isinstance(request, ScoreRequest))
    ids = tuple(token for continuation in scored for token in continuation)
    if not ids:
        return asked
    altered = tokenizer.decode(ids[1:] if asked.scores_bos else ids) != text
    return replace(asked, window=window, token_bytes=token_bytes(tokenizer, text, ids), altered=altered)


def _each(encode: Callable[[Sequence[Prompt]], list[T | str]], prompts: Sequence[Prompt]) -> list[T | str]:
    """The encoding of each prompt, or the reason why it fails; a failure affects no other prompt."""
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
    """The encoded pairs of each prompt, or the reason why they cannot be encoded."""
    bos, encoding = prompts[0].bos, prompts[0].encoding
    if prompts[0].join == "rolling":
        texts = [prompt.continuations[0] for prompt in prompts]
        return encode_rolling(tokenizer, texts, bos, window, encoding, prompts[0].stride)
    pairs = [prompt.pairs for prompt in prompts]
    if prompts[0].join == "whole":
        return encode_wholes(tokenizer, pairs, bos)
    if prompts[0].join == "pieces":
        return encode_pieces(tokenizer, pairs, [prompt.preamble for prompt in prompts], bos)
    if prompts[0].join == "apart":
        return encode_apart(tokenizer, pairs, bos)
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
    requests = tuple(pair.request for pair in encoded)
    tokens = max(len(request.context) + len(request.continuation) - 1 for request in requests)
    fits = window is None or tokens <= window
    return DocumentRequests(
        prompt,
        shots,
        requests if fits else (),
        tokens,
        joined=any(pair.joined for pair in encoded),
        realigned=any(pair.realigned for pair in encoded),
        scores_bos=any(pair.scores_bos for pair in encoded),
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
        capacity = window - settings.max_tokens
        if capacity < 1:
            problem = f"the answer may have {settings.max_tokens} tokens, but the context window has {window}"
            return DocumentRequests(prompt, shots, (), tokens, problem=problem)
        context, shortened = context[-capacity:], tokens > capacity
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
    return list(
        dict.fromkeys(r for document in asked for r in document.requests if isinstance(r, ScoreRequest))
    )


def generate_requests(asked: Sequence[DocumentRequests]) -> list[GenerateRequest]:
    """The distinct generation requests, in order."""
    requests = (request for document in asked for request in document.requests)
    return list(dict.fromkeys(request for request in requests if isinstance(request, GenerateRequest)))


def token_notes(
    prepared: PreparedTask, asked: Sequence[DocumentRequests], tokenizer: Tokenizer
) -> tuple[str, ...]:
    """Notes on the tokenizer: the tokens of letters that are encoded alone, and tokens that it appends."""
    notes: list[str] = []
    first = next((document for document in asked if document.requests), None)
    if first is None:
        return ()
    if prepared.selected.spec.join == "last_token":
        ids = [request.continuation[0] for request in first.requests if isinstance(request, ScoreRequest)]
        shown = ", ".join(f"{tokenizer.token_text(token)!r} ({token})" for token in ids)
        notes.append(f"Letters were scored by the tokens {shown}.")
    if first.prompt.bos == "tokenizer" and (appended := what_is_added(tokenizer).after):
        shown = " ".join(map(tokenizer.token_text, appended))
        notes.append(f"The tokenizer appends {shown} to every text; prompts and answers omit it.")
    return tuple(notes)
