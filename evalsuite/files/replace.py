"""Replaces a file as a whole, so that a reader sees the old text or the new one."""

import os
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write a text to a file atomically; raises OSError if it cannot be written."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)
