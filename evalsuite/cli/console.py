"""The console that commands print tables and remarks on; it never interprets text as rich markup."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from evalsuite.visible import visible

WIDTH_OF_FILES = 200
"""Columns when the output is not a terminal: rich would take 80 and truncate task names."""


class PlainConsole(Console):
    """Prints strings, including those in tables, without markup; control characters are shown."""

    def render_str(self, text: str, **how: Any) -> Text:
        """The text as it is; rich calls this method for every string that it prints."""
        return super().render_str(
            visible(text), **{**how, "markup": False, "emoji": False, "highlight": False}
        )


def console(*, to_stderr: bool = False) -> Console:
    """A console on standard output or error, wide enough for every table if that is a file."""
    plain = PlainConsole(stderr=to_stderr)
    if not plain.is_terminal:
        plain.width = WIDTH_OF_FILES
    return plain


def print_remarks(lines: Iterable[str], on: Console) -> None:
    """Print each remark as a list item; a terminal wraps long lines, a file gets them unbroken."""
    for line in lines:
        on.print(f"- {line}", soft_wrap=not on.is_terminal)
