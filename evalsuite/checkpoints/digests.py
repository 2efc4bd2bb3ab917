"""Content digests of a model's weights and tokenizer.

Hashing 16 GB takes half a minute, so each file's SHA-256 is remembered in the user's cache folder as a hint.
`file_digests` says when a hint still fits; `verify=True` ignores it.
"""

from collections.abc import Mapping
from pathlib import Path

from evalsuite.checkpoints.adapters import adapter_files
from evalsuite.checkpoints.file_digests import file_digest
from evalsuite.checkpoints.files import ModelFiles, read_config, tokenizer_files
from evalsuite.checkpoints.weights import find_weights
from evalsuite.errors import ModelError
from evalsuite.types import sha256_of

CONVERSION = 1
"""Raised when NeMo archives are converted in another way: answers of the old one are then not reused."""
MERGING = 1
"""Raised when adapters are applied in another way."""
CONFIG_FILES = ("config.json", "generation_config.json")


def weights_digest(files: ModelFiles, *, verify: bool = False) -> str:
    """SHA-256 over the content of all weight files and the configuration that shapes the model.

    A model with its own code (`auto_map` in its configuration) includes that code, and one with a PEFT adapter
    the adapter's files. A GGUF or NeMo model is its one file, whatever its name.

    Args:
        verify: read every byte, whatever the remembered hints say.

    Raises:
        ModelError: a file is missing or cannot be read.
    """
    if files.gguf_path:
        return sha256_of(["gguf", file_digest(files.gguf_path, verify=verify)])
    if files.nemo_path:
        return sha256_of(["nemo", CONVERSION, file_digest(files.nemo_path, verify=verify)])
    base = _digest_by_name(loaded_files(files), verify)
    if files.adapter is None:
        return base
    adapter = _digest_by_name(adapter_files(files.name, files.adapter), verify)
    return sha256_of(["peft adapter", MERGING, base, adapter])


def loaded_files(files: ModelFiles) -> dict[str, Path]:
    """What a folder's model is loaded from, by name within the folder: the loader is shown these files alone.

    Raises:
        ModelError: weights are missing.
    """
    found = {name: files.folder / name for name in CONFIG_FILES if (files.folder / name).is_file()}
    if "auto_map" in read_config(files):
        code = (path for path in files.folder.rglob("*.py") if path.is_file())
        found |= {str(path.relative_to(files.folder)): path for path in code}
    return {**found, **find_weights(files).paths}


def tokenizer_digest(files: ModelFiles, *, verify: bool = False) -> str:
    """SHA-256 over the content of the tokenizer files; arguments and errors as in `weights_digest`."""
    if files.gguf_path:
        return sha256_of(["gguf tokenizer", file_digest(files.gguf_path, verify=verify)])
    if files.nemo_path:
        return sha256_of(["nemo tokenizer", CONVERSION, file_digest(files.nemo_path, verify=verify)])
    paths = tokenizer_files(files)
    if not paths:
        raise ModelError(f"Model '{files.name}' has no tokenizer files in {files.folder}.")
    return _digest_by_name({path.name: path for path in paths}, verify)


def _digest_by_name(paths: Mapping[str, Path], verify: bool) -> str:
    return sha256_of([[name, file_digest(paths[name], verify=verify)] for name in sorted(paths)])
