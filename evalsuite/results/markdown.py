"""Tables and lists of Markdown whose texts are shown as they are, whatever signs they hold.

Public names: `markdown_escape`, `markdown_list`, `markdown_table_lines`.
"""

import re
from collections.abc import Collection, Iterable, Sequence

from evalsuite.visible import visible

_MEANING = re.compile(r"[\\`*\[\]<>|~&]|(?<![^\W_])_|_(?![^\W_])")
"""Signs that Markdown or HTML may read as its own; an underscore within a word is none."""
_AT_START = re.compile(r"^([#=+-]+(?=\s|$)|\d+(?=[.)](?:\s|$)))")


def markdown_escape(text: str) -> str:
    """The text as Markdown shows it, on one line."""
    line = _MEANING.sub(lambda found: "\\" + found[0], visible(" ".join(text.split())))
    return _AT_START.sub(lambda found: "\\" + found[0] if not found[0].isdigit() else found[0] + "\\", line)


def markdown_table_lines(
    columns: Sequence[str], left: Collection[str], rows: Iterable[Sequence[str]]
) -> list[str]:
    """The lines of a table.

    Args:
        columns: titles.
        left: those of them that are not aligned to the right.
        rows: their cells, as texts.
    """
    return [
        "| " + " | ".join(map(markdown_escape, columns)) + " |",
        "|" + "|".join(" --- " if column in left else " ---: " for column in columns) + "|",
        *("| " + " | ".join(map(markdown_escape, row)) + " |" for row in rows),
    ]


def markdown_list(lines: Iterable[str]) -> list[str]:
    """One item for each line."""
    return [f"- {markdown_escape(line)}" for line in lines]
