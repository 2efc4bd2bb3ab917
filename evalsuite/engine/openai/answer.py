"""Answers of a completions server, parsed into types."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from evalsuite.engine.openai.http import Server

ROUNDING = 1e-3
"""Nats by which rounding may put a log-probability above 0 on a low-precision server; it then counts as 0."""


class MalformedAnswer(Exception):
    """An answer that violates the completions protocol."""


class Listed(NamedTuple):
    """A token with its log-probability, as listed in an answer."""

    text: str
    """The token's text; servers differ in how they spell parts of a character."""
    log_prob: float | None
    """Nats; None for the first token of a prompt."""
    best: float | None
    """Log-probability of the most probable token at this position; None if the server does not report it."""
    offset: int | None
    """Index of the token's first character."""


@dataclass(frozen=True)
class Completion:
    """An answer of `/completions`."""

    text: str
    finish: str
    """"length", "stop", or a word of the server's own."""
    stop: str | int | None
    """The stop string, or the requested stop token, that ended the text, if the server reports it."""
    tells_stop: bool
    """Whether the server reports `stop`; then a text without a reported stop ended with the end token."""
    prompt_tokens: int | None
    completion_tokens: int | None
    listed: tuple[Listed, ...] = ()
    """Tokens with log-probabilities, including those of an echoed prompt."""


@dataclass(frozen=True)
class Completer:
    """Sends completion requests for one model of a server."""

    server: Server
    model: str
    neutral: tuple[tuple[str, Any], ...] = ()
    """Fields that override the server's own sampling defaults."""

    async def complete(
        self, prompt: str | list[int], max_tokens: int, *, in_probe: bool = False, **fields: Any
    ) -> Completion:
        """The completion of `prompt`, greedy unless `fields` set a temperature.

        Raises:
            Refused, Unanswered, Unreachable: as in `Server.post`.
            Malformed: the answer violates the protocol.
        """
        body = {"model": self.model, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0.0}
        answer = await self.server.post(
            "/completions",
            {**body, **dict(self.neutral), **fields},
            retries=1 if in_probe else None,
            wait_if_away=not in_probe,
        )
        return read_completion(answer)


def read_completion(answer: Any) -> Completion:
    """Parse the only choice of an answer; raises Malformed."""
    try:
        [choice] = answer["choices"]
        usage = answer.get("usage") or {}
        return Completion(
            text=_text(choice["text"]),
            finish=str(choice.get("finish_reason") or ""),
            stop=reason if isinstance(reason := choice.get("stop_reason"), str | int) else None,
            tells_stop="stop_reason" in choice,
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            listed=_listed(choice.get("logprobs")),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise MalformedAnswer(f"the answer is not a completion ({type(error).__name__}: {error})") from None


def _listed(logprobs: dict[str, Any] | None) -> tuple[Listed, ...]:
    if not logprobs or not logprobs.get("tokens"):
        return ()
    tokens, log_probs = logprobs["tokens"], logprobs["token_logprobs"]
    tops = logprobs.get("top_logprobs") or [None] * len(tokens)
    offsets = logprobs.get("text_offset") or [None] * len(tokens)
    return tuple(
        Listed(_text(text), _nats(log_prob), _best(top), offset)
        for text, log_prob, top, offset in zip(tokens, log_probs, tops, offsets, strict=True)
    )


def _nats(value: Any) -> float | None:
    """Check a log-probability; raises Malformed for other numbers, such as probabilities or logits."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no log-probability")
    if not math.isfinite(value) or value > ROUNDING:
        raise MalformedAnswer(f"{value:g} is given as a log-probability, which must be finite and at most 0")
    return min(float(value), 0.0)


def _best(top: dict[str, Any] | None) -> float | None:
    known = [_nats(value) for value in top.values()] if top else []
    return max((value for value in known if value is not None), default=None)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: Any) -> int | None:
    return value if type(value) is int else None
