"""How token ids become text: behind their prompt, or by themselves as lm-eval decodes them; and where a text
stops.

A decoder may treat the first token of what it is given in a way of its own (SentencePiece's takes its blank),
and may spell a character by several tokens. So a text is decoded together with the end of its prompt, whose
own text is then cut off, as completions servers do.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from evalsuite.engine.stops import StopFinder, cut_at_stop, special_in
from evalsuite.types import GenerateRequest, TokenIds

FIRST_LEAD = 16
"""Tokens of a prompt's end that are decoded with what follows; more where these do not make whole
characters."""
HALF = "\ufffd"
"""What a decoder writes for a part of a character."""


class Decoder(Protocol):
    """What is asked of a tokenizer."""

    @property
    def eos_id(self) -> int | None:
        """Token that ends a sequence, if there is one."""
        ...

    @property
    def special_texts(self) -> Mapping[int, str]:
        """How its special tokens are spelled, by id."""
        ...

    def decode(self, ids: Sequence[int], *, special_tokens: bool = False, clean_up: bool = False) -> str:
        """Text of the ids, with or without special tokens; `clean_up` as the tokenizer is set up to do it."""
        ...


class TextRules:
    """How the ids of requests with the same stop strings become text, and which token may end one."""

    def __init__(self, tokenizer: Decoder, request: GenerateRequest) -> None:
        self.as_lm_eval = request.backend == "lm_eval_hf"
        """Ids by themselves, and all special tokens in sight of the stop strings."""
        special, end = tokenizer.special_texts, tokenizer.eos_id
        stops = request.stop
        if self.as_lm_eval and end is not None:
            stops = (*stops, tokenizer.decode([end], special_tokens=True, clean_up=True))
        self.stops = tuple(dict.fromkeys(stop for stop in stops if stop))
        self._tokenizer = tokenizer
        self.seen = frozenset(special) if self.as_lm_eval else special_in(self.stops, special)
        """Special tokens that can be a part of a stop string."""
        self._hidden = frozenset(special) - self.seen
        self.finder = StopFinder(self.stops, self.told)

    def plain(self, ids: Sequence[int]) -> str:
        """Text of the ids without special tokens."""
        return self._tokenizer.decode(ids, clean_up=self.as_lm_eval)

    def told(self, ids: Sequence[int]) -> str:
        """Text of the ids with those special tokens that are `seen`."""
        if not self.seen.intersection(ids):
            return self.plain(ids)
        kept = [one for one in ids if one not in self._hidden]
        return self._tokenizer.decode(kept, special_tokens=True, clean_up=self.as_lm_eval)

    def cut(self, text: str) -> str:
        """The text before the stop strings."""
        if not self.as_lm_eval:
            return cut_at_stop(text, self.stops)
        for stop in self.stops:  # one after the other (lm-eval 0.4.13, `postprocess_generated_text`)
            text = text.partition(stop)[0]
        return text

    def lead(self, context: TokenIds) -> TokenIds:
        """The last tokens of a prompt with which its text is decoded: some that make whole characters, or
        all."""
        if self.as_lm_eval:
            return ()
        count = FIRST_LEAD
        while count < len(context):
            text = self.plain(context[-count:])
            if text.strip() and HALF not in text:
                return context[-count:]
            count *= 2
        return context


class RowText:
    """The text of one growing row."""

    def __init__(self, rules: TextRules, context: TokenIds) -> None:
        self.rules = rules
        self._lead = rules.lead(context)
        self._before: dict[Callable, str] = {}

    def is_completed(self, ids: Sequence[int]) -> bool:
        """Whether the last of `ids` completes a stop string."""
        return self.rules.finder.completed_by_last(ids, lambda: self._behind(self.rules.told, ids))

    def until_stop(self, ids: Sequence[int]) -> tuple[str, bool]:
        """The text of `ids` before the first stop string, without special tokens, and whether there was
        one."""
        rules = self.rules
        text = self._behind(rules.plain, ids)
        cut = rules.cut(text)
        if not rules.seen.intersection(ids):
            return cut, len(cut) < len(text)
        starts = [at for at in map(self._behind(rules.told, ids).find, rules.stops) if at >= 0]
        if starts and not rules.as_lm_eval:
            before = self._before_place(ids, min(starts))
            cut = min(cut, before, key=len)
        return cut, bool(starts) or len(cut) < len(text)

    def replay(self, ids: Sequence[int]) -> tuple[str, int, bool]:
        """What a row becomes of `ids` token by token: its text, its tokens until a stop string, and whether
        one came."""
        text, stopped = self.until_stop(ids)
        if not stopped:
            return text, len(ids), False
        count = bisect_left(range(len(ids)), True, key=lambda length: self.until_stop(ids[:length])[1])
        return self.until_stop(ids[:count])[0], count, True

    def _before_place(self, ids: Sequence[int], place: int) -> str:
        """The text of the tokens before a place in the told text, and what is plain of the token at the
        place."""
        count = len(ids)
        while count and len(self._behind(self.rules.told, ids[:count])) > place:
            count -= 1
        plain = self._behind(self.rules.plain, ids[:count])
        if ids[count] in self.rules.seen:
            return plain
        return (
            plain
            + self._behind(self.rules.told, ids)[len(self._behind(self.rules.told, ids[:count])) : place]
        )

    def _behind(self, decode: Callable[[Sequence[int]], str], ids: Sequence[int]) -> str:
        """What `decode` adds to the text of the lead for `ids`."""
        if not self._lead:
            return decode(ids)
        if decode not in self._before:
            self._before[decode] = decode(self._lead)
        before = self._before[decode]
        whole = decode((*self._lead, *ids))
        if whole.startswith(before):
            return whole[len(before) :]
        # A half of a character at the prompt's end has become a whole one, which is the text's.
        differing = (at for at, (one, other) in enumerate(zip(before, whole, strict=False)) if one != other)
        return whole[next(differing, len(whole)) :]
