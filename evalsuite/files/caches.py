"""The user's cache folder, and names of files that begin with `~`, where there may be no user at all.

In a container with an arbitrary user id there is neither HOME nor an entry in the user database.
"""

import errno
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from evalsuite.errors import UserError


def cache_folder(name: str) -> Path:
    """The folder `name` in the user's cache folder; it need not be there.

    Raises:
        OSError: there is no home folder, and `XDG_CACHE_HOME` names no other; a cache then is not to be had.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # a relative one does not count (XDG Base Directory Specification)
        return Path(base, name)
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        raise OSError(errno.ENOENT, "there is no home folder; set XDG_CACHE_HOME to a folder for caches")
    return Path(home, ".cache", name)


def replace_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a JSON file of a cache folder as a whole; raises OSError where it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as unfinished:
        json.dump(content, unfinished)
    os.replace(unfinished.name, path)


def without_tilde(name: str) -> Path:
    """The path with its `~` or `~user` resolved; raises UserError where there is no such home folder."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise UserError(f"{name}: there is no such home folder here; give the whole path.") from None
