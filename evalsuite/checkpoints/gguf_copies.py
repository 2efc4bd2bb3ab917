"""Copies of GGUF files in the layout of Hugging Face folders, kept in the user's cache.

Reading a GGUF file takes many seconds: Python code parses a header of some 300,000 values, three times, and
dequantises each tensor. A copy is in `<user's cache>/evalsuite/gguf/<digest of the file>-<digest of the
versions of the packages that read it>/<part>/`. A model's digest is that of its GGUF file, with and without
copies.

A copy counts only while every one of its files has the digest that was noted when it was written. If no copy
can be written, runs begin later, and nothing else changes.
"""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from evalsuite.checkpoints.building import build_folder
from evalsuite.checkpoints.converted import cache_home, locked
from evalsuite.checkpoints.file_digests import file_digest
from evalsuite.checkpoints.model_files import ModelFiles
from evalsuite.errors import ModelError
from evalsuite.files.caches import replace_json
from evalsuite.types import sha256_of

COPY = 1
"""Raised when copies are written differently, so that earlier ones are not used."""
READERS = ("gguf", "tokenizers", "transformers")
"""The packages that dequantise and name the weights, and read the tokenizer."""
DIGESTS = "digests.json"
"""File of a copy with the digests of its other files; written last."""
MOST_OF_DISK = 0.25
"""A copy takes at most this share of the free disk."""


def whole_copy(files: ModelFiles, part: str) -> Path | None:
    """The folder of a copy; None if there is none, or if it is damaged."""
    try:
        folder = _folder(files, part)
        digests = json.loads((folder / DIGESTS).read_text("utf-8"))
        same = digests and all(file_digest(folder / name) == known for name, known in digests.items())
    except (OSError, ValueError, AttributeError, ImportError, ModelError):
        return None
    return folder if same else None


def keep_copy(files: ModelFiles, part: str, size: int, write: Callable[[Path], None]) -> str:
    """Write a copy, which replaces a damaged one; of several processes, one writes it.

    Args:
        files: the GGUF model.
        part: name of the copy.
        size: how many bytes it will take.
        write: writes the files of the copy into an empty folder.

    Returns:
        Why there is no copy; empty if there is one.
    """
    try:
        folder = _folder(files, part)
        with locked(folder.parent):
            if whole_copy(files, part):
                return ""
            for left_over in (folder, *folder.parent.glob(f".{part}.unfinished-*")):
                shutil.rmtree(left_over, ignore_errors=True)
            if size > MOST_OF_DISK * shutil.disk_usage(folder.parent).free:
                return f"it would take {size / 1e9:.1f} GB, more than a quarter of the free disk"
            build_folder(folder, write)
            replace_json(folder / DIGESTS, {path.name: file_digest(path) for path in folder.iterdir()})
    except (OSError, ImportError, ModelError) as error:
        return str(error).rstrip(".")
    return ""


def drop_copy(files: ModelFiles, part: str) -> None:
    """Remove a copy that cannot be loaded; it will be written again."""
    with suppress(OSError, ImportError, ModelError):
        (_folder(files, part) / DIGESTS).unlink()


def _folder(files: ModelFiles, part: str) -> Path:
    """The folder of a copy; raises ImportError if a package is missing."""
    assert files.gguf_path is not None
    versions = sha256_of([COPY, *map(metadata.version, READERS)])[:12]
    return cache_home("gguf") / f"{file_digest(files.gguf_path)[:32]}-{versions}" / part
