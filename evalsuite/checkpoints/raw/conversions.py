"""Keeps the latest conversions of raw checkpoints and removes older ones: a training has hundreds.

Answers are stored under a checkpoint's digest, so that a conversion is not needed again; if it is, it is made
again. A process holds the conversion that it asked for last, and nobody removes what a process holds.
"""

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO

from evalsuite.files import locking

KEPT_CONVERSIONS = 2
"""So many conversions of a format remain, and those that are held."""
HELD = ".held"
"""Suffix of the file that is locked while a process holds a conversion."""
_held: dict[Path, IO[str]] = {}
"""The open, locked file of the conversion that this process holds, by its path."""


def hold(home: Path) -> None:
    """Keep a conversion's folder, which may not exist yet, from being removed; the one held before is let go.

    Where locks do not work, nothing is held and nothing removed.
    """
    path = home.with_suffix(HELD)
    if path not in _held:
        for file in _held.values():
            file.close()
        _held.clear()
        with suppress(OSError):
            home.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w")
            _held[path] = file
            fcntl.flock(file, fcntl.LOCK_SH)
    with suppress(OSError):
        os.utime(home)


def remove_older(homes: Path) -> None:
    """Remove the conversions in a format's folder that are neither held nor among the latest."""
    with suppress(OSError):
        folders = [path for path in homes.iterdir() if path.is_dir()]
        folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for folder in folders[KEPT_CONVERSIONS:]:
            _remove_unless_held(folder)


def _remove_unless_held(folder: Path) -> None:
    with suppress(OSError), folder.with_suffix(HELD).open("w") as file:
        if locking.lock(file, wait=False):
            shutil.rmtree(folder, ignore_errors=True)
