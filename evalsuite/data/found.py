"""The answer of a data source: the rows, or the reason why it does not have them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class FoundSplit:
    """Rows from one source, not yet checked against a pin."""

    rows: list[dict[str, Any]]
    source: str
    """Description of the source."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SplitTable:
    """A whole split with all of its columns and their types, as another harness loaded it."""

    id: str
    config: str
    split: str
    source: str
    columns: tuple[str, ...]
    rows: int
    save: Callable[[Path], object]
    """Writes the split as Parquet."""


class NotHere(Exception):
    """The source does not have the split, so that the next one is tried; the message is the reason."""
