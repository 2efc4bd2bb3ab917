"""From prompts to token-level requests; what does not fit the context window is found here."""

from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.engine.encode import (
    Encoded,
    encode_contexts,
    encode_last_tokens,
    encode_pairs,
    encode_rolling,
)
from evalsuite.engine.protocol import Tokenizer
from evalsuite.prepare import PreparedTask
from evalsuite.types import Bos, GenerateRequest, Join, Prompt, Request, ScoreRequest, TokenIds


@dataclass(frozen=True, slots=True)
class Asked:
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
    problem: str = ""
    """Why there is nothing to ask (an empty choice, say); the document ends as failed."""

    @property
    def too_long(self) -> bool:
        """It does not fit the context window."""
        return not (self.requests or self.problem)


def ask(prepared: PreparedTask, tokenizer: Tokenizer, window: int | None, seed: int) -> list[Asked]:
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
    asked = _encoded(prepared.prompts, [spec.shots.count] * len(prepared.prompts), tokenizer, window, seed)
    if spec.overlong == "drop_shots":
        for place, first in enumerate(asked):
            if first.too_long:
                asked[place] = _with_fewer_shots(prepared, place, first, tokenizer, window, seed)
    return asked


def _with_fewer_shots(
    prepared: PreparedTask, place: int, longest: Asked, tokenizer: Tokenizer, window: int | None, seed: int
) -> Asked:
    for shots in reversed(range(longest.shots)):
        shorter = _encoded([prepared.prompt(place, shots)], [shots], tokenizer, window, seed)[0]
        if not shorter.too_long:
            return shorter
    return longest


def _encoded(
    prompts: Sequence[Prompt], shots: Sequence[int], tokenizer: Tokenizer, window: int | None, seed: int
) -> list[Asked]:
    """The requests of each prompt; prompts that are asked in one way are encoded together."""
    ways: dict[tuple[bool, Bos, Join], list[int]] = {}
    for place, prompt in enumerate(prompts):
        ways.setdefault((prompt.generation is not None, prompt.bos, prompt.join), []).append(place)
    asked: dict[int, Asked] = {}
    for places in ways.values():
        some = _encoded_alike([prompts[place] for place in places], [shots[place] for place in places],
                              tokenizer, window, seed)  # fmt: skip
        asked.update(zip(places, some, strict=True))
    return [asked[place] for place in range(len(prompts))]


def _encoded_alike(
    prompts: Sequence[Prompt], shots: Sequence[int], tokenizer: Tokenizer, window: int | None, seed: int
) -> list[Asked]:
    bos = prompts[0].bos
    if prompts[0].generation is not None:
        contexts = encode_contexts(tokenizer, [prompt.contexts[0] for prompt in prompts], bos)
        return [
            _asked_generation(*fields, window, seed) for fields in zip(prompts, shots, contexts, strict=True)
        ]
    encoded = _encoded_pairs(tokenizer, prompts, bos, window)
    return [_asked_scores(*fields, window) for fields in zip(prompts, shots, encoded, strict=True)]


def _encoded_pairs(
    tokenizer: Tokenizer, prompts: Sequence[Prompt], bos: Bos, window: int | None
) -> list[list[Encoded] | str]:
    """The encoded pairs of each prompt, or why they cannot be encoded."""
    try:
        if prompts[0].join == "rolling":
            texts = [prompt.continuations[0] for prompt in prompts]
            return list(encode_rolling(tokenizer, texts, bos, window))
        encode = encode_pairs if prompts[0].join == "joined" else encode_last_tokens
        pairs = iter(encode(tokenizer, [pair for prompt in prompts for pair in prompt.pairs], bos))
    except ValueError as error:
        if len(prompts) == 1:
            return [str(error)]
        # One document's empty choice must not cost the others theirs: they are encoded one by one.
        return [one for prompt in prompts for one in _encoded_pairs(tokenizer, [prompt], bos, window)]
    return [[next(pairs) for _ in prompt.pairs] or "There are no choices." for prompt in prompts]


def _asked_scores(prompt: Prompt, shots: int, encoded: list[Encoded] | str, window: int | None) -> Asked:
    if isinstance(encoded, str):
        return Asked(prompt, shots, (), 0, problem=encoded)
    requests = tuple(one.request for one in encoded)
    tokens = max(len(request.context) + len(request.continuation) - 1 for request in requests)
    fits = window is None or tokens <= window
    return Asked(prompt, shots, requests if fits else (), tokens, any(one.joined for one in encoded))


def _asked_generation(prompt: Prompt, shots: int, context: TokenIds, window: int | None, seed: int) -> Asked:
    settings = prompt.generation
    assert settings is not None
    if not context:
        return Asked(prompt, shots, (), 0, problem="The prompt encodes to no token.")
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
        )
        for sample in range(settings.samples)
    )
    fits = window is None or len(context) < window
    return Asked(prompt, shots, requests if fits else (), len(context))


def score_requests(asked: Sequence[Asked]) -> list[ScoreRequest]:
    """The distinct scoring requests, in order."""
    return list(dict.fromkeys(r for one in asked for r in one.requests if isinstance(r, ScoreRequest)))


def generate_requests(asked: Sequence[Asked]) -> list[GenerateRequest]:
    """The distinct generation requests, in order."""
    return list(dict.fromkeys(r for one in asked for r in one.requests if isinstance(r, GenerateRequest)))


def letter_tokens(prepared: PreparedTask, asked: Sequence[Asked], tokenizer: Tokenizer) -> tuple[str, ...]:
    """Which tokens stood for the letters, where a recipe encodes them by themselves: it depends on the tokenizer."""
    first = next((one for one in asked if one.requests), None)
    if prepared.selected.spec.join != "last_token" or first is None:
        return ()
    ids = [request.continuation[0] for request in first.requests if isinstance(request, ScoreRequest)]
    shown = ", ".join(f"{tokenizer.decode([one])!r} ({one})" for one in ids)
    return (f"Letters were scored by the tokens {shown}.",)
