"""Stop strings: found in the tail of a growing text, and cut from the finished text."""

from collections.abc import Callable, Mapping, Sequence

SPARE_TOKENS = 8
"""Tokens decoded beyond those of the stop string.

A decoder may treat the first token of a tail differently (SentencePiece drops its leading space), and one
character may span several tokens.
"""


def tail_tokens(stops: Sequence[str]) -> int:
    """How many of the last tokens can contain a stop string that the newest token completes.

    A token that is not special contains at least one byte of text.
    """
    return max((len(stop.encode()) for stop in stops), default=0) + SPARE_TOKENS


def stops_in_tail(ids: Sequence[int], stops: Sequence[str], decode: Callable[[Sequence[int]], str]) -> bool:
    """Whether the text of the last few `ids` contains a stop string."""
    if not stops:
        return False
    tail = decode(ids[-tail_tokens(stops) :])
    return any(stop in tail for stop in stops)


class StopFinder:
    """Finds stop strings in growing texts; decodes a tail only if the newest token may complete one of them.

    The newest token may complete a stop string if its own text contains the last character of the stop string
    or part of a character, or if that last character is a space, which decoders strip from a single token.
    """

    def __init__(self, stops: Sequence[str], decode: Callable[[Sequence[int]], str]) -> None:
        self.stops = tuple(stop for stop in stops if stop)
        self._decode = decode
        self._last = {stop[-1] for stop in self.stops}
        self._may_complete: dict[int, bool] = {}

    def completed_by_last(self, ids: Sequence[int], text: Callable[[], str] | None = None) -> bool:
        """Whether the tail of `ids` contains a stop string, given that it had none before the last token.

        `text` returns the text of all `ids`; pass it where ids decoded after the prompt give another text
        than ids decoded alone.
        """
        if not self.stops:
            return False
        token = ids[-1]
        if token not in self._may_complete:
            own = self._decode([token])
            self._may_complete[token] = " " in self._last or any(
                c in self._last or c == "\ufffd" for c in own
            )
        if not self._may_complete[token]:
            return False
        if text is not None and len(ids) <= tail_tokens(self.stops):
            return any(map(text().__contains__, self.stops))
        return stops_in_tail(ids, self.stops, self._decode)


def special_in(stops: Sequence[str], special: Mapping[int, str]) -> frozenset[int]:
    """Ids of special tokens whose spelling is contained in a stop string; `special` maps ids to spellings."""
    return frozenset(token for token, text in special.items() if text and any(text in stop for stop in stops))


def stop_tokens(stops: Sequence[str], special: Mapping[int, str]) -> list[int]:
    """Ids of special tokens whose spelling is a stop string; `special` maps ids to spellings."""
    return sorted(token for token, text in special.items() if text in stops)


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """The text before the earliest occurrence of any stop string; the whole text if it contains none."""
    return text[: min((index for stop in stops if (index := text.find(stop)) >= 0), default=len(text))]
