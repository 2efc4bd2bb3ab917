"""Stop strings: found in the tail of a text while it grows, and cut from it when it is done."""

from collections.abc import Callable, Mapping, Sequence

SPARE_TOKENS = 8
"""Beyond the stop string's own tokens: a decoder may treat the first token of a tail in a way of its own
(SentencePiece drops its blank), and a character may be spread over several tokens."""


def tail_tokens(stops: Sequence[str]) -> int:
    """How many of the last tokens can hold a stop string that the newest token completes.

    A token that is not special holds at least one byte of text.
    """
    return max((len(stop.encode()) for stop in stops), default=0) + SPARE_TOKENS


def stops_in_tail(ids: Sequence[int], stops: Sequence[str], decode: Callable[[Sequence[int]], str]) -> bool:
    """Whether a stop string stands in the text of the last few of `ids`."""
    if not stops:
        return False
    tail = decode(ids[-tail_tokens(stops) :])
    return any(stop in tail for stop in stops)


class StopFinder:
    """Finds stop strings in growing texts; a tail is decoded only where the newest token may complete one.

    That is where the token's own text has the last character of a stop string or a part of a
    character, or where that character is a blank, which decoders strip from a token on its own.
    """

    def __init__(self, stops: Sequence[str], decode: Callable[[Sequence[int]], str]) -> None:
        self.stops = tuple(stop for stop in stops if stop)
        self._decode = decode
        self._last = {stop[-1] for stop in self.stops}
        self._may_complete: dict[int, bool] = {}

    def completed_by_last(self, ids: Sequence[int], text: Callable[[], str] | None = None) -> bool:
        """Whether a stop string stands in the tail of `ids`, given that none stood there without the last.

        `text` gives the text of all `ids` where they have one behind a prompt that they have not by
        themselves.
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
    """Those of the special tokens (spellings by id) that can be a part of one of the stop strings."""
    return frozenset(one for one, text in special.items() if text and any(text in stop for stop in stops))


def stop_tokens(stops: Sequence[str], special: Mapping[int, str]) -> list[int]:
    """Those of the special tokens (spellings by id) that are one of the stop strings."""
    return sorted(one for one, text in special.items() if text in stops)


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """The text before the first of the stop strings, whichever it is; all of it if none is there."""
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]
