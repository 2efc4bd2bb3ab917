"""Where the verbs print their tables and remarks: no string that comes from elsewhere is read as rich's
markup."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from evalsuite.visible import visible

WIDTH_OF_FILES = 200
"""Columns where the output is no terminal: rich takes 80 then, and cuts the names of tasks."""


class PlainConsole(Console):
    """Prints strings, also those in tables, titles and captions, as they are: control characters shown, no
    markup."""

    def render_str(self, text: str, **how: Any) -> Text:
        """The text; every string that rich prints comes through here."""
        return super().render_str(
            visible(text), **{**how, "markup": False, "emoji": False, "highlight": False}
        )


def console(*, to_stderr: bool = False) -> Console:
    """The terminal, or a file that is wide enough for every table."""
    made = PlainConsole(stderr=to_stderr)
    if not made.is_terminal:
        made.width = WIDTH_OF_FILES
    return made


def print_remarks(lines: Iterable[str], on: Console) -> None:
    """One line each, as they are; a file gets them unbroken."""
    for line in lines:
        on.print(f"- {line}", soft_wrap=not on.is_terminal)
