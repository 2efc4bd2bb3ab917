"""The tokenizer for servers that get text: one id per character, so that requests represent exact text."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from evalsuite.types import TokenIds

BOS = 0x110000
"""The id for the BOS token that the server adds by itself; one above the last Unicode code point."""


class CharacterTokenizer:
    """Text as Unicode code points, of which the server's own tokenizer makes tokens.

    Args:
        server_adds_bos: returns whether the server puts a BOS token before each text; called only if a prompt
            needs one.
    """

    eos_id = None
    bos_text = ""
    special_texts: Mapping[int, str] = MappingProxyType({})
    """Empty: the server's special tokens are unknown."""
    notes = ()

    def __init__(self, server_adds_bos: Callable[[], bool]) -> None:
        self._server_adds_bos = server_adds_bos

    @property
    def bos_id(self) -> int | None:
        """The server's BOS token; None if the server adds none."""
        return BOS if self._server_adds_bos() else None

    @property
    def prefix_id(self) -> int | None:
        """The same as `bos_id`."""
        return self.bos_id

    def encode(self, texts: Sequence[str], *, special_tokens: bool) -> list[list[int]]:
        """Code points of each text; with `special_tokens` after the BOS token, if the server adds one."""
        before = [BOS] if special_tokens and self._server_adds_bos() else []
        return [before + [ord(character) for character in text] for text in texts]

    def offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Code points, each of which stands for itself."""
        return [ord(character) for character in text], [(index, index + 1) for index in range(len(text))]

    def decode(self, ids: Sequence[int] | TokenIds) -> str:
        """The text without the BOS token."""
        return "".join(chr(token) for token in ids if token != BOS)

    def token_text(self, token: int) -> str:
        """The character, or "BOS"."""
        return "BOS" if token == BOS else chr(token)
