"""Content digests of a model's weights and tokenizer.

Hashing 16 GB takes half a minute, so `file_digests` remembers the SHA-256 of each file in the user's cache
folder as a hint and says when a hint is still valid; `verify=True` ignores hints.
"""

import json
from pathlib import Path
from typing import Any

from evalsuite.checkpoints.adapters import adapter_files
from evalsuite.checkpoints.file_digests import digest_by_name, file_digest
from evalsuite.checkpoints.files import read_config, tokenizer_files
from evalsuite.checkpoints.formats import format_of
from evalsuite.checkpoints.model_files import ModelFiles
from evalsuite.checkpoints.weights import find_weights
from evalsuite.errors import ModelError
from evalsuite.types import sha256_of

MERGING = 1
"""Raised when the way of applying adapters changes."""
WEIGHT_SUFFIXES = frozenset(
    {
        ".safetensors",
        ".bin",
        ".pt",
        ".pth",
        ".ckpt",
        ".gguf",
        ".nemo",
        ".h5",
        ".msgpack",
        ".onnx",
        ".npz",
        ".distcp",
    }
)
"""Suffixes of files that no tokenizer reads. Never extended by installed formats: digests must not change."""
CONFIG_FILES = ("config.json", "generation_config.json")


def weights_digest(files: ModelFiles, *, verify: bool = False) -> str:
    """SHA-256 over the content of all weight files and the configuration that shapes the model.

    The digest of a model with its own code (`auto_map` in its configuration) includes that code; that of a
    model with a PEFT adapter includes the adapter's files. A GGUF model is identified by its one file,
    whatever the name; the digest of another checkpoint comes from its `CheckpointFormat`.

    Args:
        verify: read every byte and ignore remembered hints.

    Raises:
        ModelError: a file is missing or cannot be read.
    """
    if files.gguf_path:
        return sha256_of(["gguf", file_digest(files.gguf_path, verify=verify)])
    found = format_of(files)
    base = (
        found.weights_digest(files, verify=verify) if found else digest_by_name(loaded_files(files), verify)
    )
    if files.adapter is None:
        return base
    adapter = digest_by_name(adapter_files(files.name, files.adapter), verify)
    return sha256_of(["peft adapter", MERGING, base, adapter])


def loaded_files(files: ModelFiles) -> dict[str, Path]:
    """The files of a folder that the model is loaded from, by name; the loader sees no others.

    Raises:
        ModelError: weights are missing.
    """
    found = {name: files.folder / name for name in CONFIG_FILES if (files.folder / name).is_file()}
    if "auto_map" in read_config(files):
        code = (path for path in files.folder.rglob("*.py") if path.is_file())
        found |= {str(path.relative_to(files.folder)): path for path in code}
    return {**found, **find_weights(files).paths}


def tokenizer_digest(files: ModelFiles, *, verify: bool = False) -> str:
    """SHA-256 over the content of all files that can change a token; arguments and errors as in
    `weights_digest`.

    A tokenizer with its own code (`auto_map`) may read any file, so its digest covers all files of its folder
    except the weights. Without a `tokenizer.json` transformers chooses the tokenizer by the model's type, so
    the digest then includes that type.
    """
    if files.gguf_path:
        return sha256_of(["gguf tokenizer", file_digest(files.gguf_path, verify=verify)])
    if (found := format_of(files)) and not files.tokenizer_folder:
        return found.tokenizer_digest(files, verify=verify)
    paths = tokenizer_files(files)
    if not paths:
        raise ModelError(
            f"Model '{files.name}' has no tokenizer files in {files.folder}: get them, too, or name a "
            "tokenizer with --tokenizer."
        )
    if has_own_tokenizer_code(files):
        return sha256_of(["own code", digest_by_name(_all_but_weights(files.folder), verify)])
    if any(path.name == "tokenizer.json" for path in paths):
        return digest_by_name({path.name: path for path in paths}, verify)
    return sha256_of([_model_type(files), digest_by_name({path.name: path for path in paths}, verify)])


def has_own_tokenizer_code(files: ModelFiles) -> bool:
    """Whether the tokenizer is made by Python code in its own folder, as its settings say."""
    maps = [
        _settings(files.folder / name).get("auto_map") for name in ("tokenizer_config.json", "config.json")
    ]
    return isinstance(maps[0], list) or any(
        isinstance(each, dict) and "AutoTokenizer" in each for each in maps
    )


def _all_but_weights(folder: Path) -> dict[str, Path]:
    """The folder's own files, and the Python code below it, by name."""
    code = {
        path
        for path in folder.rglob("*.py")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    own = {path for path in folder.iterdir() if path.is_file() and path.suffix not in WEIGHT_SUFFIXES}
    return {path.relative_to(folder).as_posix(): path for path in {*own, *code}}


def _model_type(files: ModelFiles) -> str:
    return str(_settings(files.folder / "config.json").get("model_type", ""))


def _settings(path: Path) -> dict[str, Any]:
    """A JSON configuration; empty if it is missing or unreadable, which its real reader reports."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
