"""Markdown tables and lists that show their texts unchanged, whatever characters these contain.

Public names: `markdown_escape`, `markdown_list`, `markdown_table_lines`.
"""

import re
from collections.abc import Collection, Iterable, Sequence

from evalsuite.visible import visible

_MEANING = re.compile(r"[\\`*\[\]<>|~&]|(?<![^\W_])_|_(?![^\W_])")
"""Characters with a meaning in Markdown or HTML, except an underscore within a word."""
_AT_START = re.compile(r"^([#=+-]+(?=\s|$)|\d+(?=[.)](?:\s|$)))")


def markdown_escape(text: str) -> str:
    """The text on one line, escaped so that Markdown shows it unchanged."""
    line = _MEANING.sub(lambda found: "\\" + found[0], visible(" ".join(text.split())))
    return _AT_START.sub(lambda found: "\\" + found[0] if not found[0].isdigit() else found[0] + "\\", line)


def markdown_table_lines(
    columns: Sequence[str], left: Collection[str], rows: Iterable[Sequence[str]]
) -> list[str]:
    """The lines of a table.

    Args:
        columns: column titles.
        left: titles of the left-aligned columns; the others are right-aligned.
        rows: cells of each row, as text.
    """
    return [
        "| " + " | ".join(map(markdown_escape, columns)) + " |",
        "|" + "|".join(" --- " if column in left else " ---: " for column in columns) + "|",
        *("| " + " | ".join(map(markdown_escape, row)) + " |" for row in rows),
    ]


def markdown_list(lines: Iterable[str]) -> list[str]:
    """One list item per line."""
    return [f"- {markdown_escape(line)}" for line in lines]
