"""The user's cache folder, and paths that begin with `~`, also if the user has no home folder.

A container with an arbitrary user id has neither HOME nor an entry in the user database.
"""

import errno
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from evalsuite.errors import UserError


def cache_folder(name: str) -> Path:
    """The folder `name` in the user's cache folder; it may not exist yet.

    Raises:
        OSError: there is no home folder, and `XDG_CACHE_HOME` is not set, so that no cache is possible.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # a relative path must be ignored (XDG Base Directory Specification)
        return Path(base, name)
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        raise OSError(errno.ENOENT, "there is no home folder; set XDG_CACHE_HOME to a folder for caches")
    return Path(home, ".cache", name)


def replace_json(path: Path, content: Mapping[str, object]) -> None:
    """Replace a JSON file in a cache folder atomically; raises OSError if it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as unfinished:
        json.dump(content, unfinished)
    os.replace(unfinished.name, path)


def without_tilde(name: str) -> Path:
    """The path with `~` or `~user` expanded; raises UserError if there is no such home folder."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise UserError(f"{name}: there is no such home folder; give the full path.") from None
