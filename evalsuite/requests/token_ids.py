"""Texts to token ids, with what the tokenizer puts in front of a text and without what it appends."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalsuite.engine.protocol import Tokenizer
from evalsuite.errors import LacksToken
from evalsuite.requests.pieces import CHECKED, PieceEncoder
from evalsuite.types import Bos, TokenIds

PROBES = ("A", "the cat", "0 1", "b")
"""Texts of different beginnings and ends, on which is seen what a tokenizer adds to any text."""
SHORTEST = 3
"""So many of the texts themselves are looked at as well."""

Pair = tuple[str, str]
"""A context and its continuation."""


@dataclass(frozen=True, slots=True)
class Added:
    """What a tokenizer adds to a text by default."""

    before: TokenIds
    after: TokenIds
    apart: bool = True
    """The text's own tokens are the same without it."""


class TextEncoder:
    """Token ids of the texts of one call, as a prompt spec says of the BOS token.

    Raises:
        LacksToken: (by `ids`) each text is to begin with a BOS token, and the tokenizer has none.
        ValueError: (by `ids`) the tokenizer cannot read a text.
    """

    def __init__(self, tokenizer: Tokenizer, bos: Bos) -> None:
        self.tokenizer = tokenizer
        self._bos = bos
        self._pieces = PieceEncoder(tokenizer)
        self._texts: tuple[str, ...] = ()

    @functools.cached_property
    def added(self) -> Added:
        """What the tokenizer adds by default; nothing where the spec does not leave it to the tokenizer."""
        return what_is_added(self.tokenizer, self._texts) if self._bos == "tokenizer" else Added((), ())

    def ids(self, texts: Iterable[str]) -> dict[str, TokenIds]:
        """Ids by text, BOS included where it belongs there; what texts share is encoded once."""
        ordered = list(dict.fromkeys(texts))
        plain = self._pieces.encode(ordered)
        if self._bos == "never":
            return plain
        if self._bos == "always":
            begin = self._forced_bos()
            return {text: row if row[:1] == begin else begin + row for text, row in plain.items()}
        # A text that spells the BOS token gets no second one, as in lm-eval 0.4.13 (`HFLM.tok_encode`).
        unmarked = [text for text in ordered if not self.spells_bos(text)]
        if not unmarked:
            return plain
        self._texts = self._texts or tuple(sorted(unmarked, key=len)[:SHORTEST])
        if self.added.apart:
            return plain | {text: self.added.before + plain[text] for text in unmarked}
        whole = self.tokenizer.encode(unmarked, special_tokens=True)
        end = len(self.added.after)
        return plain | {text: tuple(row[: len(row) - end]) for text, row in zip(unmarked, whole, strict=True)}

    def plain_ids(self, texts: Iterable[str]) -> dict[str, TokenIds]:
        """Ids by text, without any token that is not the text's own."""
        return self._pieces.encode(texts)

    def apart(self, pairs: Sequence[Pair], contexts: dict[str, TokenIds]) -> dict[Pair, TokenIds]:
        """Continuations whose ids do not depend on their context; of none if a sample says otherwise."""
        found = {pair: ids for pair, ids in self._pieces.encode_joined(pairs).items() if ids}
        some = list(found)[:: max(1, len(found) // CHECKED)]
        wholes = self.ids("".join(pair) for pair in some)
        agree = all(wholes["".join(pair)] == contexts[pair[0]] + found[pair] for pair in some)
        return found if agree else {}

    def spells_bos(self, text: str) -> bool:
        """Whether a text begins with the BOS token, spelled out."""
        return bool(self.tokenizer.bos_text) and text.startswith(self.tokenizer.bos_text)

    @property
    def prefix(self) -> TokenIds:
        """What stands before a text without a context; raises LacksToken where there is no such token."""
        if self.tokenizer.prefix_id is None:
            raise LacksToken(
                "An empty context needs a BOS or EOS token, and this tokenizer has neither: name a token with "
                "--prefix-token."
            )
        return (self.tokenizer.prefix_id,)

    def _forced_bos(self) -> TokenIds:
        if self.tokenizer.bos_id is None:
            raise LacksToken("The prompt begins with a BOS token, and this tokenizer has none.")
        return (self.tokenizer.bos_id,)


def what_is_added(tokenizer: Tokenizer, texts: Sequence[str] = ()) -> Added:
    """What a tokenizer adds before and after any text by default, seen on a few; `texts` are looked at as
    well.

    Where the text's own tokens are others with these tokens around them (`apart` is False), `after` is as
    many tokens as all encodings have in common at their ends, and `before` is not known.
    """
    probes = list(dict.fromkeys((*PROBES, *texts)))
    plain = [tuple(row) for row in tokenizer.encode(probes, special_tokens=False)]
    whole = [tuple(row) for row in tokenizer.encode(probes, special_tokens=True)]
    ways = [set(_ways(*rows)) for rows in zip(plain, whole, strict=True) if rows[0]]
    common = set.intersection(*ways) if ways else set()
    if common:
        return Added(*min(common, key=lambda one: len(one[0])))
    shared = _common_end(whole) - _common_end(plain)
    return Added((), whole[0][len(whole[0]) - shared :] if shared > 0 else (), apart=False)


def _ways(plain: TokenIds, whole: TokenIds) -> Iterable[tuple[TokenIds, TokenIds]]:
    """How `plain` may lie in `whole`: the tokens before and after it."""
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            yield whole[:start], whole[start + len(plain) :]


def _common_end(rows: Sequence[TokenIds]) -> int:
    """Tokens that all rows end in."""
    count = 0
    while all(len(row) > count for row in rows) and len({row[-1 - count] for row in rows}) == 1:
        count += 1
    return count
