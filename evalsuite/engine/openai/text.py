"""The tokenizer of a server that gets text: one id per character, so that requests stay exact text."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from evalsuite.types import TokenIds

BOS = 0x110000
"""Stands for the BOS token that the server adds by itself; one more than the last character."""


class CharacterTokenizer:
    """Text as its characters (Unicode code points); the server's own tokenizer makes tokens of them.

    Args:
        server_adds_bos: whether the server puts a BOS token before each text; asked only where a prompt wants
            one.
    """

    eos_id = None
    bos_text = ""
    special_texts: Mapping[int, str] = MappingProxyType({})
    """None is known."""
    notes = ()

    def __init__(self, server_adds_bos: Callable[[], bool]) -> None:
        self._server_adds_bos = server_adds_bos

    @property
    def bos_id(self) -> int | None:
        """The server's BOS token; None if the server adds none."""
        return BOS if self._server_adds_bos() else None

    @property
    def prefix_id(self) -> int | None:
        """As `bos_id`."""
        return self.bos_id

    def encode(self, texts: Sequence[str], *, special_tokens: bool) -> list[list[int]]:
        """Characters of each text, after the BOS token if the server adds one and `special_tokens` are
        wanted."""
        before = [BOS] if special_tokens and self._server_adds_bos() else []
        return [before + [ord(character) for character in text] for text in texts]

    def decode(self, ids: Sequence[int] | TokenIds) -> str:
        """The text."""
        return "".join(chr(one) for one in ids if one != BOS)

    def token_text(self, token: int) -> str:
        """The character."""
        return "BOS" if token == BOS else chr(token)
