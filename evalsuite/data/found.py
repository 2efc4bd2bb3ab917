"""What a source answers: the rows, or why it does not have them."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FoundSplit:
    """Rows as one source has them, not yet checked against a pin."""

    rows: list[dict[str, Any]]
    source: str
    """Where they came from, in human words."""
    notes: tuple[str, ...] = ()


class NotHere(Exception):
    """This source does not have the split, so the next one is asked; the message is the reason."""
