"""The answer of a data source: the rows, or the reason why it does not have them."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FoundSplit:
    """Rows from one source, not yet checked against a pin."""

    rows: list[dict[str, Any]]
    source: str
    """Description of the source."""
    notes: tuple[str, ...] = ()


class NotHere(Exception):
    """The source does not have the split, so that the next one is tried; the message is the reason."""
