"""Stores each text once: strings, and prompts as paths in a tree of paragraphs.

Few-shot prompts share their beginnings (fixed shots) or their paragraphs (drawn shots). Prompts are split
after each blank line. A node of the tree is (parent, paragraph), so that a shared beginning costs nothing,
and a repeated paragraph costs one number.

Public names: `TextPool`, `paragraphs`.
"""

import re
from collections.abc import Sequence
from typing import Any

_BLANK_LINE = re.compile(r"(?<=\n\n)")
_LINE = re.compile(r"(?<=\n)")


def paragraphs(text: str) -> list[str]:
    """Pieces that concatenate to `text`: paragraphs, or lines if there is no blank line."""
    pieces = [piece for piece in (_BLANK_LINE if "\n\n" in text else _LINE).split(text) if piece]
    return pieces or [""]


class TextPool:
    """Assigns numbers to texts."""

    def __init__(self) -> None:
        self._strings: dict[str, int] = {}
        self._nodes: dict[tuple[int, int], int] = {}
        self._sets: dict[tuple[int, ...], int] = {}

    def string(self, text: str) -> int:
        """Number of a text."""
        return self._strings.setdefault(text, len(self._strings))

    def strings(self, texts: Sequence[str]) -> int:
        """Number of a list of texts."""
        return self._sets.setdefault(tuple(map(self.string, texts)), len(self._sets))

    def prompt(self, text: str) -> tuple[int, list[int]]:
        """The node of a prompt's last paragraph, and the numbers of all its paragraphs."""
        node, path = -1, [self.string(piece) for piece in paragraphs(text)]
        for piece in path:
            node = self._nodes.setdefault((node, piece), len(self._nodes))
        return node, path

    def document(self) -> dict[str, list[Any]]:
        """The pool as JSON; a prompt's paragraphs are found from its node over `parents`, up to -1."""
        return {
            "strings": list(self._strings),
            "parents": [parent for parent, _ in self._nodes],
            "paragraphs": [piece for _, piece in self._nodes],
            "sets": [list(numbers) for numbers in self._sets],
        }
