"""Replaces a file as a whole, so that a reader sees the old content or the new one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".unfinished"
"""Ending of a file that is being written."""


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Yields the path to write to; at the end of the block that file replaces `path`, unless it failed."""
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write a text to a file atomically; raises OSError if it cannot be written."""
    with replaced_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
