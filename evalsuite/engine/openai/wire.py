"""Sends a request to a completions server and reads its answer."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from evalsuite.engine.openai.answer import Completer, Completion, MalformedAnswer
from evalsuite.engine.openai.echo import echo_of, first_of_continuation, score_of
from evalsuite.engine.openai.http import Refused, Unanswered
from evalsuite.engine.openai.probe import FEW_STOPS, Abilities
from evalsuite.engine.protocol import Tokenizer, seed_of
from evalsuite.engine.stops import cut_at_stop, stop_tokens
from evalsuite.types import (
    Failure,
    Finish,
    Generated,
    GenerateRequest,
    Response,
    ScoreRequest,
    TokenIds,
)


@dataclass(frozen=True)
class Reply:
    """An answer and the number of computed tokens."""

    response: Response
    tokens: int
    """Tokens that the server computed."""


@dataclass(frozen=True)
class Wire:
    """Converts requests and answers to and from the protocol of one server."""

    completer: Completer
    abilities: Abilities
    tokenizer: Tokenizer
    by_text: bool
    """Whether the ids of requests are characters, so that only the server knows the tokens."""
    window: int | None
    """Context window in tokens, if it is known."""
    many_stops: bool = True
    """Whether the server takes any number of stop strings."""
    stop_ids: bool = True
    """Whether the server accepts stop token ids."""

    async def answer(self, request: ScoreRequest | GenerateRequest) -> Reply:
        """The answer; if the server gives none, a Failure with the reason."""
        try:
            if isinstance(request, GenerateRequest):
                return await self._generate(request)
            if self.by_text:
                return await self._score_text(request)
            return await self._score_ids(request)
        except Refused as error:
            return Reply(Failure(str(error), too_long=error.is_too_long), 0)
        except (Unanswered, MalformedAnswer) as error:
            return Reply(Failure(str(error)), 0)

    async def _score_ids(self, request: ScoreRequest) -> Reply:
        ids = request.context + request.continuation
        completion = await self._echoed(self._prompt(ids))
        self._check_count(completion, ids)
        hidden = self.abilities.hidden_bos if self._begins_with_bos(ids) else self.abilities.hidden
        start = len(request.context) - hidden
        if start < 1:
            raise MalformedAnswer(
                "the server does not list the first tokens of a prompt, and the context has no other tokens"
            )
        tokens = echo_of(completion, hidden).tokens[start:]
        return Reply(score_of(tokens), len(ids))

    async def _score_text(self, request: ScoreRequest) -> Reply:
        context, continuation = map(self.tokenizer.decode, (request.context, request.continuation))
        hidden = self.abilities.hidden
        completion = await self._echoed(context + continuation)
        echo = echo_of(completion, hidden)

        async def count_context() -> int:
            return ((await self.completer.complete(context, 1)).prompt_tokens or 0) - hidden

        start = await first_of_continuation(echo, context, continuation, count_context)
        return Reply(score_of(echo.tokens[start:]), completion.prompt_tokens or 0)

    async def _echoed(self, prompt: str | list[int]) -> Completion:
        # Not max_tokens=0: for llama-cpp-python that means "as many as fit".
        return await self.completer.complete(prompt, 1, echo=True, logprobs=1)

    async def _generate(self, request: GenerateRequest) -> Reply:
        prompt: str | list[int]
        limit = request.max_tokens
        if self.by_text:
            prompt = self.tokenizer.decode(request.context)
        else:
            prompt = self._prompt(request.context)
            limit = min(limit, (self.window or limit + len(request.context)) - len(request.context))
        try:
            completion = await self.completer.complete(prompt, limit, **self._fields(request))
        except Refused as error:
            limit = await self._tokens_left(prompt, error)
            completion = await self.completer.complete(prompt, limit, **self._fields(request))
        if not self.by_text:
            self._check_count(completion, request.context)
        text = cut_at_stop(completion.text, request.stop)
        tokens = completion.completion_tokens
        if tokens is None:
            tokens = len(self.tokenizer.encode([completion.text], special_tokens=False)[0])
        finish = _finish(completion, request, text, tokens, self._end_tokens(request))
        answer = Generated(text, tokens, finish)
        return Reply(answer, tokens + (completion.prompt_tokens or len(request.context)))

    def _fields(self, request: GenerateRequest) -> dict[str, Any]:
        """Sampling, seed and stop strings; `cut_at_stop` applies those beyond the server's limit."""
        stop = list(request.stop if self.many_stops else request.stop[:FEW_STOPS])
        fields: dict[str, Any] = {"stop": stop} if stop else {}
        if ends := self._end_tokens(request):
            fields["stop_token_ids"] = ends
        if request.temperature > 0:
            fields |= {"temperature": request.temperature, "top_p": request.top_p, "seed": seed_of(request)}
        return fields

    def _end_tokens(self, request: GenerateRequest) -> list[int]:
        """Special tokens that are stop strings: servers search for stop strings in text without them."""
        return stop_tokens(request.stop, self.tokenizer.special_texts) if self.stop_ids else []

    async def _tokens_left(self, prompt: str | list[int], error: Refused) -> int:
        """Tokens of the context window after a prompt that was refused together with its token limit.

        Raises:
            Refused: `error`, unless its reason is the length, the window is known and the prompt alone fits.
        """
        if not error.is_too_long or self.window is None:
            raise error
        alone = await self.completer.complete(prompt, 1)
        if alone.prompt_tokens is None or alone.prompt_tokens >= self.window:
            raise error
        return self.window - alone.prompt_tokens

    def _prompt(self, ids: TokenIds) -> str | list[int]:
        """The ids; for a server that takes only text, the text with these ids.

        Raises:
            Malformed: no text has these ids.
        """
        if self.abilities.token_ids:
            return list(ids)
        begins = self._begins_with_bos(ids)
        body = list(ids[begins:])
        text = self.tokenizer.decode(body)
        if self.tokenizer.encode([text], special_tokens=False)[0] != body:
            raise MalformedAnswer("the server takes text alone, and no text has these token ids")
        return text if self.abilities.special_tokens or not begins else self.tokenizer.bos_text + text

    def _begins_with_bos(self, ids: TokenIds) -> bool:
        return self.tokenizer.bos_id is not None and ids[:1] == (self.tokenizer.bos_id,)

    def _check_count(self, completion: Completion, ids: TokenIds) -> None:
        if completion.prompt_tokens not in (None, len(ids)):
            raise MalformedAnswer(
                f"the server read {completion.prompt_tokens} tokens where the tokenizer makes {len(ids)}: "
                "it has another tokenizer, adds tokens of its own, or cut the prompt"
            )


def _finish(
    completion: Completion, request: GenerateRequest, text: str, tokens: int, ends: Collection[int]
) -> Finish:
    if isinstance(completion.stop, str) or completion.stop in ends or text != completion.text:
        return "stop"
    if completion.finish == "length":
        return "window" if tokens < request.max_tokens else "length"
    return "eos" if completion.tells_stop or not request.stop else "stop"
