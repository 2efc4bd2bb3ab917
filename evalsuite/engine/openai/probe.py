"""Probes what a completions server can do, with a few tiny requests.

Log-probabilities of an echoed prompt are trusted only after a check: the most probable token after a text
must have the same log-probability when it is generated and when the text is echoed with more text after it.
"""

from dataclasses import dataclass, replace
from typing import Any

from evalsuite.engine.native.texts import HALF
from evalsuite.engine.openai.answer import Completer, Completion, MalformedAnswer
from evalsuite.engine.openai.echo import echo_of, first_of_continuation
from evalsuite.engine.openai.http import Refused, Unanswered, Unreachable
from evalsuite.engine.openai.settings import KEY_VARIABLES
from evalsuite.engine.protocol import Tokenizer
from evalsuite.errors import ModelError

TEXTS = ("The capital of France is", "One two three four five", "Water is made of hydrogen and")
MORE = " and then some"
STOPS = tuple(f"<{number}>" for number in range(16))
FEW_STOPS = 4
"""Stop strings that every server takes: OpenAI's own limit."""
ALIKE = 0.3
"""Nats by which two computations of a log-probability may differ; quantised kernels reach a tenth of that."""

_PENALTIES = {
    "repetition_penalty": 1.0,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
NEUTRAL_OPTIONS: tuple[dict[str, Any], ...] = (
    {"top_k": 0, "min_p": 0.0, **_PENALTIES},
    {"top_k": -1, "min_p": 0.0, **_PENALTIES},
    {},
)
"""Fields that override servers' own sampling defaults, in the order of trial; the last sets none.

Such defaults are top_k 40 in llama-cpp-python and the model's generation_config.json in vLLM. The empty set
is for servers that refuse unknown fields.
"""


@dataclass(frozen=True)
class Abilities:
    """The abilities of a server."""

    neutral: tuple[tuple[str, Any], ...]
    """Fields that override the server's sampling defaults."""
    token_ids: bool = False
    """Whether the server takes token ids as a prompt."""
    special_tokens: int = 0
    """Number of tokens that the server adds before each text."""
    hidden: int = 0
    """Number of tokens at the beginning of a prompt that the server counts but does not list."""
    hidden_bos: int = 0
    """The same for a prompt whose ids begin with a BOS token."""
    why_no_scores: str = ""
    """Why the server cannot give log-likelihoods; empty if it can."""
    notes: tuple[str, ...] = ()


async def probe(completer: Completer, tokenizer: Tokenizer | None) -> Abilities:
    """Probe what the server can do.

    Args:
        completer: sends requests to the server.
        tokenizer: the tokenizer for token ids; None to send text.

    Raises:
        ModelError: the server cannot complete text.
    """
    completer = await _completing(completer)
    takes_ids = tokenizer is not None and await _takes_ids(completer, tokenizer)
    notes = []
    if not completer.neutral:
        notes.append("The server takes no top_k, min_p or repetition penalty: its own defaults apply.")
    if tokenizer is not None and not takes_ids:
        notes.append("The server takes no token ids; it gets text, and its count of tokens is checked.")
    single = await completer.complete("a", 1, in_probe=True)
    special = max(0, (single.prompt_tokens or 1) - 1)
    if tokenizer is None and special:
        notes.append("The server puts a BOS token before every text, also where the prompt should have none.")
    abilities = Abilities(completer.neutral, takes_ids, special, notes=tuple(notes))
    return await _with_scores(completer, tokenizer if takes_ids else None, abilities)


async def _completing(completer: Completer) -> Completer:
    """The completer with the first set of `NEUTRAL_OPTIONS` fields that the server accepts."""
    where = f"The server at {completer.server.settings.base_url}"
    for fields in NEUTRAL_OPTIONS:
        candidate = replace(completer, neutral=tuple(fields.items()))
        try:
            await candidate.complete(TEXTS[0], 1, in_probe=True)
        except Refused as error:
            if error.status in (401, 403):
                raise ModelError(
                    f"{where} requires a key ({error}): set {KEY_VARIABLES[0]} in the environment."
                ) from None
            if error.status in (404, 405, 501) or not fields:
                raise ModelError(
                    f"{where} does not complete text with model '{completer.model}' ({error}); "
                    "evalsuite needs the completions protocol (/v1/completions), not chat."
                ) from None
        except (Unanswered, MalformedAnswer) as error:
            raise ModelError(f"{where} does not answer: {error}.") from None
        else:
            return candidate
    raise AssertionError("the last set of fields is empty")


async def _takes_ids(completer: Completer, tokenizer: Tokenizer) -> bool:
    ids = tokenizer.encode([TEXTS[0]], special_tokens=False)[0]
    try:
        answer = await completer.complete(ids, 1, in_probe=True)
    except (Refused, MalformedAnswer):
        return False
    except Unreachable:
        raise
    except Unanswered:
        return False
    return answer.prompt_tokens == len(ids)


async def _with_scores(completer: Completer, tokenizer: Tokenizer | None, abilities: Abilities) -> Abilities:
    """The abilities with the values that scoring needs, or the reason why the server cannot score."""
    try:
        hidden = await _hidden(completer, _Sent(tokenizer, ()), 0 if tokenizer else abilities.special_tokens)
        bos = () if tokenizer is None or tokenizer.bos_id is None else (tokenizer.bos_id,)
        hidden_bos = await _hidden(completer, _Sent(tokenizer, bos), 1) if bos else hidden
    except Unreachable:
        raise
    except (Refused, Unanswered, MalformedAnswer) as error:
        return replace(abilities, why_no_scores=str(error))
    return replace(abilities, hidden=hidden, hidden_bos=hidden_bos)


@dataclass(frozen=True)
class _Sent:
    """How a text is sent as a prompt: as token ids after the ids `before`, or as text."""

    tokenizer: Tokenizer | None
    before: tuple[int, ...]

    def ids(self, text: str) -> list[int]:
        assert self.tokenizer is not None
        return [*self.before, *self.tokenizer.encode([text], special_tokens=False)[0]]

    def prompt(self, text: str) -> str | list[int]:
        return text if self.tokenizer is None else self.ids(text)


async def _hidden(completer: Completer, sent: _Sent, most: int) -> int:
    """Check echoed log-probabilities; returns how many tokens at a prompt's beginning are not listed.

    Args:
        completer: sends requests to the server.
        sent: how texts are sent.
        most: number of tokens before those of the text; only these may be missing.

    Raises:
        Malformed: there are no log-probabilities, or they contradict the server's own.
    """
    counts: set[int] = set()
    for text in TEXTS:
        alone = await completer.complete(sent.prompt(text), 1, in_probe=True, logprobs=1)
        whole = await completer.complete(sent.prompt(text + MORE), 1, in_probe=True, logprobs=1, echo=True)
        if not alone.listed or len(whole.listed) < 2:
            raise MalformedAnswer("it does not give the log-probabilities of an echoed prompt")
        if whole.finish != "length" or whole.prompt_tokens is None:
            continue
        expected = whole.prompt_tokens + (whole.completion_tokens or 1)
        hidden = expected - len(whole.listed)
        if not 0 <= hidden <= most:
            raise MalformedAnswer(
                f"an echoed prompt of {whole.prompt_tokens} tokens and its completion have "
                f"{len(whole.listed)} log-probabilities instead of {expected}"
            )
        if not any(token.log_prob for token in whole.listed):
            raise MalformedAnswer("it gives 0 for every log-probability of an echoed prompt")
        index = await _index_after(completer, sent, text, whole, hidden)
        _compare(whole.listed[index].best, alone.listed[-1].log_prob)
        counts.add(hidden)
    if len(counts) != 1:
        raise MalformedAnswer("its lists of echoed tokens do not match its counts of tokens")
    return counts.pop()


async def _index_after(completer: Completer, sent: _Sent, text: str, whole: Completion, hidden: int) -> int:
    """Index of the first listed token after `text`."""
    if sent.tokenizer is not None:
        if sent.ids(text + MORE)[: len(sent.ids(text))] != sent.ids(text):
            raise MalformedAnswer(
                "the tokenizer joins words, so that echoed log-probabilities cannot be checked"
            )
        return len(sent.ids(text)) - hidden

    async def count() -> int:
        return ((await completer.complete(text, 1, in_probe=True)).prompt_tokens or 0) - hidden

    return await first_of_continuation(echo_of(whole, hidden), text, MORE, count)


def _compare(echoed: float | None, generated: float | None) -> None:
    if echoed is None or generated is None:
        raise MalformedAnswer("it does not give the most probable token at each position of an echoed prompt")
    if abs(echoed - generated) > ALIKE:
        raise MalformedAnswer(
            "its log-probabilities of an echoed prompt are not those of its own next token "
            f"({echoed:.2f} and {generated:.2f} nats for the same token)"
        )


async def takes_many_stops(completer: Completer) -> bool:
    """Whether the server takes more than four stop strings."""
    try:
        await completer.complete(TEXTS[0], 1, in_probe=True, stop=list(STOPS))
    except (Refused, Unanswered, MalformedAnswer):
        return False
    return True


async def takes_stop_tokens(completer: Completer) -> bool:
    """Whether the server accepts stop token ids; some servers accept them silently without any effect."""
    try:
        await completer.complete(TEXTS[0], 1, in_probe=True, stop_token_ids=[0])
    except (Refused, Unanswered, MalformedAnswer):
        return False
    return True


async def stops_at_tokens(completer: Completer, tokenizer: Tokenizer) -> bool:
    """Whether stop token ids really end a text; False, too, if no probe's token ids can be determined."""
    for text in TEXTS:
        try:
            whole = await completer.complete(text, 2, in_probe=True)
            ids = tokenizer.encode([whole.text], special_tokens=False)[0]
            if HALF in whole.text or not ids:
                continue
            cut = await completer.complete(text, 2, in_probe=True, stop_token_ids=ids)
        except (Refused, Unanswered, MalformedAnswer):
            return False
        if not cut.text and whole.text:
            return True
    return False


async def honours_seeds(completer: Completer) -> bool:
    """Whether the same seed gives the same text."""
    fields = {"temperature": 1.0, "top_p": 1.0, "seed": 11}
    try:
        first, second = [await completer.complete(TEXTS[1], 12, in_probe=True, **fields) for _ in range(2)]
    except (Refused, Unanswered, MalformedAnswer):
        return False
    return first.text == second.text
