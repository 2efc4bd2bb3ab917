"""Stop strings: found in the tail of a text while it grows, and cut from it when it is done."""

from collections.abc import Callable, Sequence

SPARE_TOKENS = 8
"""Beyond the stop string's own tokens: a decoder may treat the first token of a tail specially
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


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """The text before the first of the stop strings, whichever it is; all of it if none is there."""
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]
