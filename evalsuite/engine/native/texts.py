"""Decodes generated ids to text, in the context of the prompt or alone as lm-eval does, and finds its end.

A decoder may treat the first of its tokens differently (SentencePiece drops its leading space), and a
character may span several tokens. So a text is decoded together with the end of its prompt, and the prompt's
own text is then cut off, as completions servers do.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from evalsuite.engine.stops import StopFinder, cut_at_stop, special_in
from evalsuite.types import GenerateRequest, TokenIds

FIRST_LEAD = 16
"""Tokens at a prompt's end that are decoded with the text; more if these do not form whole characters."""
HALF = "\ufffd"
"""The character that a decoder writes for an incomplete character."""


class Decoder(Protocol):
    """The members of a tokenizer that decoding needs."""

    @property
    def eos_id(self) -> int | None:
        """Id of the token that ends a sequence (EOS), if there is one."""
        ...

    @property
    def special_texts(self) -> Mapping[int, str]:
        """Spellings of the special tokens, by id."""
        ...

    def decode(self, ids: Sequence[int], *, special_tokens: bool = False, clean_up: bool = False) -> str:
        """Text of the ids, with or without special tokens; `clean_up` applies the tokenizer's own setting."""
        ...


class TextRules:
    """How requests with the same stop strings are decoded, and which tokens may complete a stop string."""

    def __init__(self, tokenizer: Decoder, request: GenerateRequest) -> None:
        self.as_lm_eval = request.backend == "lm_eval_hf"
        """Decode ids without the prompt, and let stop strings match any special token."""
        special, end = tokenizer.special_texts, tokenizer.eos_id
        stops = request.stop
        if self.as_lm_eval and end is not None:
            stops = (*stops, tokenizer.decode([end], special_tokens=True, clean_up=True))
        self.stops = tuple(dict.fromkeys(stop for stop in stops if stop))
        self._tokenizer = tokenizer
        self.seen = frozenset(special) if self.as_lm_eval else special_in(self.stops, special)
        """Special tokens that can be part of a stop string."""
        self._hidden = frozenset(special) - self.seen
        self.finder = StopFinder(self.stops, self.told)

    def plain(self, ids: Sequence[int]) -> str:
        """Text of the ids without special tokens."""
        return self._tokenizer.decode(ids, clean_up=self.as_lm_eval)

    def told(self, ids: Sequence[int]) -> str:
        """Text of the ids including the special tokens in `seen`."""
        if not self.seen.intersection(ids):
            return self.plain(ids)
        kept = [token for token in ids if token not in self._hidden]
        return self._tokenizer.decode(kept, special_tokens=True, clean_up=self.as_lm_eval)

    def cut(self, text: str) -> str:
        """The text before the first stop string."""
        if not self.as_lm_eval:
            return cut_at_stop(text, self.stops)
        for stop in self.stops:  # one after the other (lm-eval 0.4.13, `postprocess_generated_text`)
            text = text.partition(stop)[0]
        return text

    def lead(self, context: TokenIds) -> TokenIds:
        """The last tokens of a prompt, decoded with its text: enough for whole characters, or all of them."""
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
        self._before: dict[Callable[[Sequence[int]], str], str] = {}

    def is_completed(self, ids: Sequence[int]) -> bool:
        """Whether the last of `ids` completes a stop string."""
        return self.rules.finder.completed_by_last(ids, lambda: self._behind(self.rules.told, ids))

    def until_stop(self, ids: Sequence[int]) -> tuple[str, bool]:
        """The text of `ids` before the first stop string, without special tokens; whether one was found."""
        rules = self.rules
        text = self._behind(rules.plain, ids)
        cut = rules.cut(text)
        if not rules.seen.intersection(ids):
            return cut, len(cut) < len(text)
        starts = [index for index in map(self._behind(rules.told, ids).find, rules.stops) if index >= 0]
        if starts and not rules.as_lm_eval:
            before = self._before_index(ids, min(starts))
            cut = min(cut, before, key=len)
        return cut, bool(starts) or len(cut) < len(text)

    def replay(self, ids: Sequence[int]) -> tuple[str, int, bool]:
        """The result of adding `ids` one by one: text, number of tokens used, whether a stop string came."""
        text, stopped = self.until_stop(ids)
        if not stopped:
            return text, len(ids), False
        count = bisect_left(range(len(ids)), True, key=lambda length: self.until_stop(ids[:length])[1])
        return self.until_stop(ids[:count])[0], count, True

    def _before_index(self, ids: Sequence[int], index: int) -> str:
        """The plain text of the tokens before a character index of the `told` text.

        If the token at that index is not special, its characters before the index are included.
        """
        count = len(ids)
        while count and len(self._behind(self.rules.told, ids[:count])) > index:
            count -= 1
        plain = self._behind(self.rules.plain, ids[:count])
        if ids[count] in self.rules.seen:
            return plain
        start = len(self._behind(self.rules.told, ids[:count]))
        return plain + self._behind(self.rules.told, ids)[start:index]

    def _behind(self, decode: Callable[[Sequence[int]], str], ids: Sequence[int]) -> str:
        """The text that `ids` add to the decoded end of the prompt."""
        if not self._lead:
            return decode(ids)
        if decode not in self._before:
            self._before[decode] = decode(self._lead)
        before = self._before[decode]
        whole = decode((*self._lead, *ids))
        if whole.startswith(before):
            return whole[len(before) :]
        # `ids` complete a character that the prompt's end began; the whole character belongs to the text.
        pairs = zip(before, whole, strict=False)
        differing = (index for index, (old, new) in enumerate(pairs) if old != new)
        return whole[next(differing, len(whole)) :]
