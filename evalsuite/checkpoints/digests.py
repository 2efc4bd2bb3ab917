"""Content digests of a model's weights and tokenizer.

Hashing 16 GB takes half a minute, so each file's SHA-256 is remembered in the user's cache
folder as a hint, by path, size and modification time; `verify=True` ignores the hint.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from evalsuite.checkpoints.files import ModelFiles, read_config, tokenizer_files, weight_files
from evalsuite.errors import ModelError
from evalsuite.types import sha256_of

CHUNK = 16 * 2**20
CONVERSION = 1
"""Raised when NeMo archives are converted in another way: answers of the old one are then not reused."""
CONFIG_FILES = ("config.json", "generation_config.json")


def weights_digest(files: ModelFiles, *, verify: bool = False) -> str:
    """SHA-256 over the content of all weight files and the configuration that shapes the model.

    A model with its own code (`auto_map` in its configuration) includes that code. A GGUF or NeMo
    model is its one file, whatever its name.

    Args:
        verify: read every byte, whatever the remembered hints say.

    Raises:
        ModelError: a file is missing or cannot be read.
    """
    if files.gguf_path:
        return sha256_of(["gguf", file_digest(files.gguf_path, verify=verify)])
    if files.nemo_path:
        return sha256_of(["nemo", CONVERSION, file_digest(files.nemo_path, verify=verify)])
    paths = [files.folder / name for name in CONFIG_FILES if (files.folder / name).is_file()]
    if "auto_map" in read_config(files):
        paths += sorted(files.folder.glob("*.py"))
    return _digest_by_name([*paths, *weight_files(files)], verify)


def tokenizer_digest(files: ModelFiles, *, verify: bool = False) -> str:
    """SHA-256 over the content of the tokenizer files; arguments and errors as in `weights_digest`."""
    if files.gguf_path:
        return sha256_of(["gguf tokenizer", file_digest(files.gguf_path, verify=verify)])
    if files.nemo_path:
        return sha256_of(["nemo tokenizer", CONVERSION, file_digest(files.nemo_path, verify=verify)])
    paths = tokenizer_files(files)
    if not paths:
        raise ModelError(f"Model '{files.name}' has no tokenizer files in {files.folder}.")
    return _digest_by_name(paths, verify)


def _digest_by_name(paths: Iterable[Path], verify: bool) -> str:
    return sha256_of([[path.name, file_digest(path, verify=verify)] for path in sorted(paths)])


def file_digest(path: Path, *, verify: bool = False) -> str:
    """SHA-256 of a file's content, from the hint if it still fits.

    Raises:
        ModelError: the file cannot be read.
    """
    try:
        real = path.resolve(strict=True)
        stat = real.stat()
        key = f"{real}|{stat.st_size}|{stat.st_mtime_ns}"
        hints = _read_hints()
        if not verify and isinstance(hints.get(key), str):
            return hints[key]
        digest = _hash_file(real)
    except OSError as error:
        raise ModelError(f"Model file {path} cannot be read: {error.strerror}.") from None
    _remember(key, digest)
    return digest


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _hints_path() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "evalsuite" / "file_digests.json"


def _read_hints() -> dict[str, str]:
    try:
        hints = json.loads(_hints_path().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return hints if isinstance(hints, dict) else {}


def _remember(key: str, digest: str) -> None:
    """Add a hint; a cache that cannot be written costs time, not correctness, and is let be."""
    path = _hints_path()
    hints = {**_read_hints(), key: digest}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            json.dump(hints, file)
        os.replace(file.name, path)
    except OSError:
        return
