"""Encodes prompts as each asks for it, those with the same settings together."""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from evalsuite.engine.protocol import Tokenizer
from evalsuite.requests.apart import encode_apart
from evalsuite.requests.document import DocumentRequests
from evalsuite.requests.encode import Encoded, encode_contexts, encode_documents, encode_last_tokens
from evalsuite.requests.prompt_requests import generation_requests, scoring_requests, with_token_bytes
from evalsuite.requests.rolling import encode_rolling
from evalsuite.requests.spans import encode_pieces, encode_wholes
from evalsuite.requests.token_ids import begin_id
from evalsuite.types import Bos, Encoding, Join, Prompt

T = TypeVar("T")
SURROGATE = re.compile("[\ud800-\udfff]")


def encode_prompts(
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
            generation_requests(*fields, window, seed)
            for fields in zip(prompts, shots, contexts, strict=True)
        ]
    encoded = _each(lambda part: _encoded_pairs(tokenizer, part, window), prompts)
    asked = [scoring_requests(*fields, window) for fields in zip(prompts, shots, encoded, strict=True)]
    return (
        [with_token_bytes(one, tokenizer, window) for one in asked] if prompts[0].join == "rolling" else asked
    )


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
