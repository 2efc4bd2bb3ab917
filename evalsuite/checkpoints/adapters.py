"""PEFT adapters: weights that change a base model, in their own folder or beside the base model's weights.

The layout is PEFT's: `adapter_config.json`, and `adapter_model.safetensors` or else `adapter_model.bin`
(`peft/utils/save_and_load.py`, `load_peft_weights`).
"""

import importlib.util
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalsuite.checkpoints.aliases import aliases
from evalsuite.checkpoints.files import tokenizer_files
from evalsuite.checkpoints.formats import format_of
from evalsuite.checkpoints.headers import check_safetensors
from evalsuite.checkpoints.model_files import ModelFiles
from evalsuite.checkpoints.weights import has_weights
from evalsuite.errors import ModelError
from evalsuite.files.caches import without_tilde

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
"""The first of these that exists is loaded."""
VOCABULARY = re.compile(r"tokenizer\.json|vocab\..*|.*\.(model|tiktoken)")
"""A folder without any of these files has no tokenizer, even if it has tokenizer settings."""
MERGE_IT = "merge the adapter into its base model (PEFT's merge_and_unload) and give that folder"


def with_adapter(files: ModelFiles, base_of: Callable[[str, str | None], ModelFiles]) -> ModelFiles:
    """The same model; if its folder holds an adapter, the files of the base model with that adapter.

    Args:
        files: the model that the user named.
        base_of: finds a base model by its name and revision.

    Raises:
        ModelError: the adapter has no weights or no base model, or cannot be applied to its base model.
    """
    folder = files.folder
    if not (folder / ADAPTER_CONFIG).is_file():
        return files
    if path := files.gguf_path or files.checkpoint:
        kind = "folder" if path.is_dir() else "file"
        raise ModelError(
            f"{path} is a whole model and has an adapter ({ADAPTER_CONFIG}) beside it, which cannot be "
            f"applied to such a {kind}: move {ADAPTER_CONFIG} away, or {MERGE_IT}."
        )
    check_adapter(files.name, folder)
    if (folder / "config.json").is_file() and has_weights(files):
        return replace(files, adapter=folder)
    return _applied(files, base_of(*_base_name(files.name, folder)))


def with_given_adapter(base: ModelFiles, name: str) -> ModelFiles:
    """A base model with the adapter in the folder that the user gave beside it (`--adapter`).

    Raises:
        ModelError: the folder is missing or holds no adapter, or it cannot be applied to this model.
    """
    folder = without_tilde(name)
    if not name.strip() or not folder.is_dir():
        raise ModelError(f"--adapter '{name}' is no folder; give the folder of a PEFT adapter.")
    if not (folder / ADAPTER_CONFIG).is_file():
        raise ModelError(f"--adapter {name}: the folder has no {ADAPTER_CONFIG}, so it is no PEFT adapter.")
    check_adapter(name, folder)
    read_adapter_config(name, folder)
    return _applied(ModelFiles(name, folder.resolve()), base)


def _applied(files: ModelFiles, base: ModelFiles) -> ModelFiles:
    """The base model with the adapter in `files.folder`.

    Raises:
        ModelError: it cannot be applied to such a base model.
    """
    found = format_of(base)
    path = base.gguf_path or base.checkpoint
    if path and not (found and found.takes_model_config):
        what = f"a checkpoint of the format {base.format}" if path.is_dir() else "one file"
        raise ModelError(
            f"Adapter '{files.name}': its base model {path} is {what}, to which it cannot be applied: "
            f"{MERGE_IT}."
        )
    if base.adapter:
        raise ModelError(
            f"Adapter '{files.name}': its base model '{base.name}' has an adapter, too, and only one can be "
            f"applied: merge that one into its base model, or move its {ADAPTER_CONFIG} away."
        )
    tokenizer = None if base.format else base.folder
    own_tokenizer = any(VOCABULARY.fullmatch(path.name) for path in tokenizer_files(files))
    return replace(
        base,
        name=files.name,
        hub_id=files.hub_id,
        revision=files.revision,
        adapter=files.folder,
        base=base.name,
        tokenizer_folder=files.folder if own_tokenizer else tokenizer,
    )


def another_base(files: ModelFiles) -> str:
    """The base model that an adapter names, if it is another one than it is applied to; else empty."""
    if files.adapter is None or not files.base:
        return ""
    named = read_adapter_config(files.name, files.adapter).get("base_model_name_or_path")
    if not isinstance(named, str) or not named.strip():
        return ""
    alias = aliases().get(files.base.partition("@")[0])
    same_name = named in (files.base, files.base.partition("@")[0], alias.hub_id if alias else "")
    paths = (without_tilde(named), files.adapter / named)
    same_folder = any(path.resolve() == files.folder.resolve() for path in paths)
    return "" if same_name or same_folder else named


def check_adapter(name: str, folder: Path) -> None:
    """Raises ModelError if an adapter's weights are missing or truncated."""
    for path in adapter_files(name, folder).values():
        if path.suffix == ".safetensors":
            check_safetensors(path)


def adapter_files(name: str, folder: Path) -> dict[str, Path]:
    """The files that an adapter is loaded from, by name: its configuration and its weights.

    Raises:
        ModelError: there are no weights.
    """
    weights = next((folder / name for name in ADAPTER_WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise ModelError(
            f"Model '{name}' has {ADAPTER_CONFIG} and no adapter weights ({ADAPTER_WEIGHTS[0]}) in {folder}: "
            f"get them, or move {ADAPTER_CONFIG} away to evaluate the model without an adapter."
        )
    return {ADAPTER_CONFIG: folder / ADAPTER_CONFIG, weights.name: weights}


def read_adapter_config(name: str, folder: Path) -> Mapping[str, Any]:
    """`adapter_config.json`; raises ModelError if it cannot be read."""
    path = folder / ADAPTER_CONFIG
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise ModelError(f"Model '{name}': {path} is not readable JSON of an adapter.")
    return config


def require_peft(files: ModelFiles) -> None:
    """Raises ModelError if a model has an adapter and the package peft is not installed."""
    if files.adapter and importlib.util.find_spec("peft") is None:
        raise ModelError(
            f"Model '{files.name}' has a PEFT adapter ({files.adapter / ADAPTER_CONFIG}): install the "
            f"package that applies it (pip install 'evalsuite[peft]'), or {MERGE_IT}."
        )


def _base_name(name: str, folder: Path) -> tuple[str, str | None]:
    """The name of an adapter's base model, and its revision on the hub."""
    config = read_adapter_config(name, folder)
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(base, str) or not base.strip():
        raise ModelError(
            f"Model '{name}' is a PEFT adapter that names no base model: write its folder or hub id into "
            f"base_model_name_or_path of {folder / ADAPTER_CONFIG}."
        )
    here = {path.resolve() for path in (without_tilde(base), folder / base) if path.exists()}
    if len(here) > 1:
        both = " and ".join(sorted(map(str, here)))
        raise ModelError(
            f"Adapter '{name}': its base model '{base}' may be two folders, {both}: "
            f"write the right one's whole path into base_model_name_or_path of {folder / ADAPTER_CONFIG}."
        )
    if here:
        return str(here.pop()), None
    return base, revision if isinstance(revision, str) and revision else None
