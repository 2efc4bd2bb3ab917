"""Folders that are written completely or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from evalsuite.errors import ModelError

T = TypeVar("T")


def build_folder(target: Path, fill: Callable[[Path], T]) -> T:
    """Let `fill` write a folder under another name, and rename it when it is complete.

    Raises:
        ModelError: it cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.unfinished-") as scratch:
            folder = Path(scratch) / target.name
            folder.mkdir()
            result = fill(folder)
            os.replace(folder, target)
    except OSError as error:
        raise ModelError(f"The converted model cannot be written to {target}: {error.strerror}.") from None
    return result


def check_free_disk(needed: int, folder: Path) -> None:
    """Raises ModelError if the disk of `folder` has fewer than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelError(
            f"Converting the model takes {needed / 1e9:.1f} GB in {folder.parent.parent}, "
            f"where {free / 1e9:.1f} GB are free."
        )
