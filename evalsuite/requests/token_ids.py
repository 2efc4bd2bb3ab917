"""Encodes texts with the tokens that the tokenizer puts before a text, without those that it appends."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalsuite.engine.protocol import Tokenizer
from evalsuite.errors import LacksToken
from evalsuite.requests.pieces import CHECKED, PieceEncoder
from evalsuite.types import Bos, TokenIds

PROBES = ("A", "the cat", "0 1", "b")
"""Texts with different beginnings and ends, to find the tokens that a tokenizer adds to any text."""
SEPARATORS = ("<|bos|>", "<|endoftext|>")
"""Special tokens that separate documents in training, in the order in which nanochat looks for them."""
SHORTEST = 3
"""Number of the texts themselves that are examined, too."""

Pair = tuple[str, str]
"""A context and its continuation."""


@dataclass(frozen=True, slots=True)
class Added:
    """The tokens that a tokenizer adds to a text by default."""

    before: TokenIds
    after: TokenIds
    apart: bool = True
    """Whether the text's own tokens are the same without them."""


class TextEncoder:
    """Encodes the texts of one call with the prompt spec's choice of BOS.

    Raises:
        LacksToken: (by `ids`) each text must begin with a BOS token, but the tokenizer has none.
        ValueError: (by `ids`) the tokenizer cannot read a text.
    """

    def __init__(self, tokenizer: Tokenizer, bos: Bos) -> None:
        self.tokenizer = tokenizer
        self._bos = bos
        self._pieces = PieceEncoder(tokenizer)
        self._texts: tuple[str, ...] = ()

    @functools.cached_property
    def added(self) -> Added:
        """The tokens that the tokenizer adds by default; none if the spec decides about BOS itself."""
        return what_is_added(self.tokenizer, self._texts) if self._bos == "tokenizer" else Added((), ())

    def ids(self, texts: Iterable[str]) -> dict[str, TokenIds]:
        """Token ids by text, with BOS if the spec asks for it; shared pieces are encoded once."""
        ordered = list(dict.fromkeys(texts))
        plain = self._pieces.encode(ordered)
        if self._bos == "never":
            return plain
        if self._bos in ("always", "document"):
            begin = self._forced_bos()
            return {text: row if row[:1] == begin else begin + row for text, row in plain.items()}
        # A text that begins with the BOS token gets no second one, as in lm-eval 0.4.13 (`HFLM.tok_encode`).
        unmarked = [text for text in ordered if not self.spells_bos(text)]
        if not unmarked:
            return plain
        self._texts = self._texts or tuple(sorted(unmarked, key=len)[:SHORTEST])
        if self.added.apart:
            return plain | {text: self.added.before + plain[text] for text in unmarked}
        whole = self.tokenizer.encode(unmarked, special_tokens=True)
        end = len(self.added.after)
        return plain | {text: tuple(row[: len(row) - end]) for text, row in zip(unmarked, whole, strict=True)}

    @property
    def alone(self) -> TokenIds:
        """The token ids of an empty text: those that begin every text."""
        return self._forced_bos() if self._bos in ("always", "document") else self.added.before

    def plain_ids(self, texts: Iterable[str]) -> dict[str, TokenIds]:
        """Token ids by text, without added tokens."""
        return self._pieces.encode(texts)

    def apart(self, pairs: Sequence[Pair], contexts: dict[str, TokenIds]) -> dict[Pair, TokenIds]:
        """Continuations whose ids do not depend on their context; none if a sample contradicts."""
        found = {pair: ids for pair, ids in self._pieces.encode_joined(pairs).items() if ids}
        sample = list(found)[:: max(1, len(found) // CHECKED)]
        wholes = self.ids("".join(pair) for pair in sample)
        agree = all(wholes["".join(pair)] == contexts[pair[0]] + found[pair] for pair in sample)
        return found if agree else {}

    def spells_bos(self, text: str) -> bool:
        """Whether a text begins with the text of the BOS token."""
        return bool(self.tokenizer.bos_text) and text.startswith(self.tokenizer.bos_text)

    @property
    def prefix(self) -> TokenIds:
        """The token that precedes a text without a context; raises LacksToken if there is none."""
        if self.tokenizer.prefix_id is None:
            raise LacksToken(
                "An empty context needs a BOS or EOS token, but this tokenizer has neither; choose a token "
                "with --prefix-token."
            )
        return (self.tokenizer.prefix_id,)

    def after_prefix(self, ids: TokenIds) -> TokenIds:
        """The ids after the prefix token, which is not repeated if they begin with it (as in lm-eval)."""
        return ids if ids[:1] == self.prefix and len(ids) > 1 else self.prefix + ids

    def _forced_bos(self) -> TokenIds:
        begin = begin_id(self.tokenizer, self._bos)
        if begin is None:
            raise LacksToken("The prompt begins with a BOS token, but this tokenizer has none.")
        return (begin,)


def begin_id(tokenizer: Tokenizer, bos: Bos) -> int | None:
    """The token that begins every prompt with this choice of BOS; None if the tokenizer has none."""
    if bos == "document":
        ids = {text: token for token, text in tokenizer.special_texts.items()}
        if found := [ids[text] for text in SEPARATORS if text in ids]:
            return found[0]
    return tokenizer.bos_id


def what_is_added(tokenizer: Tokenizer, texts: Sequence[str] = ()) -> Added:
    """The tokens that a tokenizer adds before and after any text, found from a few texts and `texts`.

    If the added tokens change the text's own tokens (`apart` is False), `after` is the common end of all
    encodings, and `before` is unknown.
    """
    probes = list(dict.fromkeys((*PROBES, *texts)))
    plain = [tuple(row) for row in tokenizer.encode(probes, special_tokens=False)]
    whole = [tuple(row) for row in tokenizer.encode(probes, special_tokens=True)]
    candidates = [set(_added_around(*rows)) for rows in zip(plain, whole, strict=True) if rows[0]]
    common = set.intersection(*candidates) if candidates else set()
    if common:
        return Added(*min(common, key=lambda added: len(added[0])))
    shared = _common_end(whole) - _common_end(plain)
    return Added((), whole[0][len(whole[0]) - shared :] if shared > 0 else (), apart=False)


def _added_around(plain: TokenIds, whole: TokenIds) -> Iterable[tuple[TokenIds, TokenIds]]:
    """The tokens before and after each occurrence of `plain` in `whole`."""
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            yield whole[:start], whole[start + len(plain) :]


def _common_end(rows: Sequence[TokenIds]) -> int:
    """Length of the common end of all rows."""
    count = 0
    while all(len(row) > count for row in rows) and len({row[-1 - count] for row in rows}) == 1:
        count += 1
    return count
