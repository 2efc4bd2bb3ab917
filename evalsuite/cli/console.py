"""Where the verbs print their tables and remarks."""

from collections.abc import Iterable

from rich.console import Console

WIDTH_OF_FILES = 200
"""Columns where the output is no terminal: rich takes 80 then, and cuts the names of tasks."""


def console(*, to_stderr: bool = False) -> Console:
    """The terminal, or a file that is wide enough for every table."""
    made = Console(stderr=to_stderr)
    if not made.is_terminal:
        made.width = WIDTH_OF_FILES
    return made


def print_remarks(lines: Iterable[str], on: Console) -> None:
    """One line each, as they are; a file gets them unbroken."""
    for line in lines:
        on.print(f"- {line}", markup=False, highlight=False, soft_wrap=not on.is_terminal)
