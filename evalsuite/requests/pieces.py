"""Encodes many texts that share pieces (descriptions, shots), each distinct piece only once.

Texts are cut at blank lines, and a continuation at the end of its context, but only if the tokenizer gives
the same ids for both sides separately as together. This is tested on the characters around each cut, once for
each distinct surrounding, since pre-tokenizers look no further. A sample of the results is then compared with
the encoding of the whole texts; after a single difference, all texts are encoded whole.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import chain

from evalsuite.engine.protocol import Tokenizer
from evalsuite.types import TokenIds

AROUND = 24
"""Number of characters on each side of a cut that are tested together."""
CHECKED = 24
"""Number of texts that are also encoded whole and compared."""
WORTHWHILE = 0.7
"""Texts are cut if their distinct pieces have at most this share of their characters."""

_BLANK_LINES = re.compile(r"\n{2,}")
Cut = tuple[str, str]
"""The characters before and after a cut."""


class PieceEncoder:
    """Encodes texts without special tokens, and remembers where the tokenizer allows cuts."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._cuts: dict[Cut, bool] = {}

    def encode(self, texts: Iterable[str]) -> dict[str, TokenIds]:
        """Token ids by text."""
        distinct = list(dict.fromkeys(texts))
        self._test_cuts(chain.from_iterable(_cuts_of(text) for text in distinct))
        pieces = {text: self._pieces(text) for text in distinct}
        shared = sum(map(len, set(chain.from_iterable(pieces.values()))))
        if shared > WORTHWHILE * sum(map(len, distinct)):
            return self._whole(distinct)
        ids = self._whole(dict.fromkeys(chain.from_iterable(pieces.values())))
        composed = {
            text: tuple(chain.from_iterable(ids[piece] for piece in pieces[text])) for text in distinct
        }
        return composed if self._agrees(composed) else self._whole(distinct)

    def encode_joined(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], TokenIds]:
        """Token ids of continuations, for the (context, continuation) pairs that can be cut between both."""
        joins = {pair: _around(pair[0] + pair[1][:AROUND], len(pair[0])) for pair in dict.fromkeys(pairs)}
        self._test_cuts(joins.values())
        apart = [pair for pair, cut in joins.items() if self._cuts[cut]]
        ids = self._whole(dict.fromkeys(continuation for _, continuation in apart))
        return {pair: ids[pair[1]] for pair in apart}

    def _whole(self, texts: Iterable[str]) -> dict[str, TokenIds]:
        ordered = list(texts)
        ids = self._tokenizer.encode(ordered, special_tokens=False) if ordered else []
        return {text: tuple(row) for text, row in zip(ordered, ids, strict=True)}

    def _agrees(self, composed: dict[str, TokenIds]) -> bool:
        texts = list(composed)
        sample = texts[:: max(1, len(texts) // CHECKED)]
        return self._whole(sample).items() <= composed.items()

    def _test_cuts(self, cuts: Iterable[Cut]) -> None:
        """Test the cuts that were not tested before."""
        new = [cut for cut in dict.fromkeys(cuts) if cut not in self._cuts]
        ids = self._whole(dict.fromkeys(text for left, right in new for text in (left, right, left + right)))
        for left, right in new:
            self._cuts[left, right] = ids[left] + ids[right] == ids[left + right]

    def _pieces(self, text: str) -> tuple[str, ...]:
        pieces, start = [], 0
        for gap in _BLANK_LINES.finditer(text):
            for index in gap.span():
                if start < index < len(text) and self._cuts[_around(text, index)]:
                    pieces.append(text[start:index])
                    start = index
                    break
        return (*pieces, text[start:])


def _cuts_of(text: str) -> Iterable[Cut]:
    for gap in _BLANK_LINES.finditer(text):
        for index in gap.span():
            if 0 < index < len(text):
                yield _around(text, index)


def _around(text: str, index: int) -> Cut:
    return text[max(0, index - AROUND) : index], text[index : index + AROUND]
