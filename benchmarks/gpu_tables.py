"""Tables of a benchmark that may be ended at any time: each row is printed and kept as it comes."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

LONGEST = 300
"""Letters of an error that are printed."""


class Tables:
    """Prints Markdown tables, a row at a time.

    Args:
        path: a file to which each row is appended as a line of JSON, or None.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._table = ""
        self._columns: Sequence[str] = ()

    def begin(self, table: str, columns: Sequence[str]) -> None:
        """Begin a table of this name."""
        self._table, self._columns = table, columns
        print(flush=True)
        self._print(columns)
        print("|" + " --- |" * len(columns), flush=True)

    def row(self, cells: Sequence[str]) -> None:
        """Print a row."""
        self._print(cells)
        if self._path:
            row = {"table": self._table, **dict(zip(self._columns, cells, strict=True))}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def say(self, text: str) -> None:
        """Print a line, and keep it as a row of its own."""
        print(text, flush=True)
        if self._path:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"said": text}, ensure_ascii=False) + "\n")

    @staticmethod
    def _print(cells: Sequence[str]) -> None:
        print("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |", flush=True)


def measured(
    first: Sequence[str], columns: int, measure: Callable[[], Iterable[str]], release: Callable[[], None]
) -> tuple[str, ...]:
    """A row of `columns` cells that begins with `first`; the error in its last cell if `measure` fails.

    Args:
        first: the first cells.
        columns: number of cells.
        measure: gives the other cells.
        release: frees memory after an error.
    """
    try:
        return (*first, *measure())
    except Exception as error:  # Boundary: kernels, drivers and other programs raise errors of every kind.
        problem = f"{type(error).__name__}: {' '.join(str(error).split())}"[:LONGEST]
    release()  # not earlier: the error's traceback keeps tensors alive
    return (*first, *["—"] * (columns - len(first) - 1), problem)
