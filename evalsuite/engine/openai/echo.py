"""Scores a continuation from an echoed prompt with log-probabilities.

The continuation's first token is never guessed. With token ids, its index is a count of tokens. With text, it
is the index from which the tokens spell the continuation. Everything else is an error.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from evalsuite.engine.openai.answer import Completion, Listed, MalformedAnswer
from evalsuite.types import Score


@dataclass(frozen=True)
class Echo:
    """The tokens of the prompt in an echoed answer."""

    tokens: tuple[Listed, ...]
    end: int | None
    """Index of the character at which the prompt ends, by the server's count."""


def echo_of(completion: Completion, hidden: int) -> Echo:
    """The prompt's part of an answer with one generated token, or none if the text ended.

    llama-cpp-python continues to the end of a character, so that it may generate several tokens.

    Args:
        completion: an echoed answer.
        hidden: number of tokens at the beginning of the prompt that the server counts but does not list.

    Raises:
        Malformed: the length of the list contradicts the counts.
    """
    if completion.prompt_tokens is None:
        raise MalformedAnswer("the server does not count the tokens of the prompt")
    count = completion.prompt_tokens - hidden
    beyond = len(completion.listed) - count
    generated = 1 if completion.completion_tokens is None else completion.completion_tokens
    if beyond != generated and (completion.finish == "length" or beyond != generated - 1):
        raise MalformedAnswer(
            f"{len(completion.listed)} tokens have log-probabilities where the prompt has {count}"
        )
    return Echo(completion.listed[:count], completion.listed[count].offset if beyond else None)


def score_of(tokens: Sequence[Listed]) -> Score:
    """The score of a continuation's tokens; raises Malformed if a log-probability is missing."""
    pairs = [(token.log_prob, token.best) for token in tokens]
    known = [(value, best) for value, best in pairs if value is not None and best is not None]
    if not pairs or len(known) < len(pairs):
        raise MalformedAnswer("a token of the continuation has no log-probability")
    return Score(tuple(value for value, _ in known), all(value >= best for value, best in known))


async def first_of_continuation(
    echo: Echo, context: str, continuation: str, count_context: Callable[[], Awaitable[int]]
) -> int:
    """Index of the continuation's first token among the prompt's tokens.

    Args:
        echo: the listed tokens of context and continuation.
        context: the text before the continuation.
        continuation: the text at the prompt's end.
        count_context: returns the number of listed tokens of the context alone; called only if needed.

    Raises:
        Malformed: the tokens do not spell the text, or a token spans the join.
    """
    left = continuation
    for index in reversed(range(len(echo.tokens))):
        text = echo.tokens[index].text
        if len(text) > len(left) and (context + left).endswith(text):
            return await _after_join(echo, count_context)
        if not text or not left.endswith(text):
            break
        left = left[: -len(text)]
        if not left:
            return index
    return _by_offset(echo, len(context), len(context + continuation))


async def _after_join(echo: Echo, count_context: Callable[[], Awaitable[int]]) -> int:
    """Index of the last token, if the continuation adds no token of its own, as in `requests/encode.py`.

    Otherwise `requests/encode.py` scores the tokens after those of the context alone, which a server that
    gets text cannot do.
    """
    if await count_context() < len(echo.tokens):
        raise MalformedAnswer(
            "a token spans the join of context and continuation, and the server takes text alone"
        )
    return len(echo.tokens) - 1


def _by_offset(echo: Echo, boundary: int, end: int) -> int:
    """Index of the first token that begins at the boundary, for tokens that spell parts of characters.

    Servers count such parts differently, so the offsets must agree with the text at both ends.
    """
    if echo.tokens and echo.tokens[0].offset == 0 and echo.end == end:
        for index, token in enumerate(echo.tokens):
            if token.offset == boundary and index:
                return index
    raise MalformedAnswer(
        "the echoed tokens do not spell the prompt, so its continuation cannot be separated from its context"
    )
