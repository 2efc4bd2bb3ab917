"""SHA-256 of a file's content, remembered in the user's cache folder until the file changes.

A file counts as unchanged while its path, size, inode, modification time, time of its last status change and
probe are the same; the probe is a hash of its first and last bytes and of some blocks between. So a file that
is replaced or written in place is noticed, whatever date it gets afterwards. Some file systems keep no time
of status changes (an image that is mounted again, some network and object stores): there the probe notices
all changes but those of a few bytes, and `verify` notices these.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from evalsuite.errors import ModelError
from evalsuite.files.caches import cache_folder, replace_json
from evalsuite.types import sha256_of

READ_BYTES = 16 * 2**20
ENDS = 2**16
"""Bytes that the probe reads at either end of a file; a safetensors file begins with its header."""
PROBED_BLOCKS = 16
BLOCK = 2**12
"""Bytes of each block between the ends; the blocks are spread evenly."""


class Hint(NamedTuple):
    """The digest of a file in one state."""

    state: str
    sha256: str


_HASHED_HERE: dict[str, Hint] = {}
"""Hints of this process, in case the user's cache folder cannot be written."""


def file_digest(path: Path, *, verify: bool = False) -> str:
    """SHA-256 of a file's content, from the hint if it is still valid.

    Args:
        path: the file; a link stands for its target.
        verify: read every byte and ignore the hint.

    Raises:
        ModelError: the file cannot be read, or changes while it is read.
    """
    return _digest(path, path.name, _hash_file, verify)


def parts_digest(path: Path, parts: Sequence[tuple[int, int]], *, verify: bool = False) -> str:
    """SHA-256 of parts of a file, one after the other, from the hint if it is still valid.

    Args:
        path: the file; a link stands for its target.
        parts: offset and length of each in bytes; read in this order.
        verify: as in `file_digest`, whose errors are raised, too.
    """
    name = f"{path.name}#{sha256_of([list(part) for part in parts])}"
    return _digest(path, name, lambda real: _hash_parts(real, parts), verify)


def _digest(path: Path, name: str, hashed: Callable[[Path], str], verify: bool) -> str:
    """What `hashed` gives for a file, remembered beside the file's path under `name`."""
    try:
        real = path.resolve(strict=True)
        hint = real.with_name(name) if name != path.name else real
        state = _state(real)
        if not verify and (known := _known(hint, state)):
            return known
        digest = hashed(real)
        changed = _state(real) != state
    except OSError as error:
        raise ModelError(f"Model file {path} cannot be read: {error.strerror}.") from None
    if changed:
        raise ModelError(
            f"Model file {path} changes while it is read: wait until it is written, then run again."
        )
    _remember(hint, Hint(state, digest))
    return digest


def digest_by_name(paths: Mapping[str, Path], verify: bool) -> str:
    """SHA-256 over the names and contents of files; arguments and errors as in `file_digest`."""
    return sha256_of([[name, file_digest(paths[name], verify=verify)] for name in sorted(paths)])


def _known(path: Path, state: str) -> str:
    """The remembered digest of a file in this state; empty if there is none."""
    hints = (_read_hints().get(str(path)), _HASHED_HERE.get(str(path)))
    return next((hint.sha256 for hint in hints if hint and hint.state == state), "")


def _state(path: Path) -> str:
    """Differs whenever a file was replaced or written to."""
    stat = path.stat()
    numbers = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_dev, stat.st_ino)
    return "|".join([*map(str, numbers), _probe(path, stat.st_size)])


def _probe(path: Path, size: int) -> str:
    """Hash of a file's ends and of some blocks between; reads 200 KB at most."""
    digest = hashlib.sha256()
    between = range(ENDS, size - ENDS, max(BLOCK, (size - 2 * ENDS) // PROBED_BLOCKS))
    with path.open("rb", buffering=0) as file:
        for start, length in ((0, ENDS), *((at, BLOCK) for at in between), (max(size - ENDS, 0), ENDS)):
            file.seek(start)
            digest.update(file.read(length))
    return digest.hexdigest()[:32]


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _hash_parts(path: Path, parts: Sequence[tuple[int, int]]) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        for start, length in parts:
            file.seek(start)
            while length and (chunk := file.read(min(length, READ_BYTES))):
                digest.update(chunk)
                length -= len(chunk)
    return digest.hexdigest()


def _hints_path() -> Path:
    return cache_folder("evalsuite") / "file_digests.json"


def _read_hints() -> dict[str, Hint]:
    """Hints by path, without malformed entries."""
    try:
        hints = json.loads(_hints_path().read_text("utf-8"))
        return {
            path: Hint(*hint) for path, hint in hints.items() if isinstance(hint, list) and len(hint) == 2
        }
    except (OSError, ValueError, AttributeError):
        return {}


def _remember(path: Path, hint: Hint) -> None:
    """Add a hint; a cache that cannot be written costs time, not correctness, so its error is ignored."""
    _HASHED_HERE[str(path)] = hint
    hints = {**_read_hints(), str(path): hint}
    with suppress(OSError):
        replace_json(_hints_path(), hints)


def forget_digests_below(folder: Path) -> None:
    """Drop the hints of files in a folder that is about to be deleted."""
    real = folder.resolve()
    hints = {path: hint for path, hint in _read_hints().items() if not Path(path).is_relative_to(real)}
    with suppress(OSError):
        replace_json(_hints_path(), hints)
    for path in [path for path in _HASHED_HERE if Path(path).is_relative_to(real)]:
        del _HASHED_HERE[path]
