"""Finds the configuration and tokenizer of a raw checkpoint: `--model-config`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from evalsuite.checkpoints.aliases import aliases
from evalsuite.checkpoints.formats import CHECKPOINT_FORMATS, format_of
from evalsuite.checkpoints.model_files import HUB_ID, ModelFiles
from evalsuite.checkpoints.weights import has_weights
from evalsuite.errors import ModelConfigError, ModelError, UnknownName
from evalsuite.files.caches import without_tilde


def with_model_config(files: ModelFiles, name: str, from_hub: Callable[[str], Path]) -> ModelFiles:
    """A raw checkpoint with the folder of its configuration.

    Args:
        files: the checkpoint.
        name: as the user gave it: a folder, an alias or a hub id.
        from_hub: gives the folder of an alias or a hub id, without weights.

    Raises:
        ModelConfigError: the model takes no configuration, or there is none at that place.
        ModelError: the model is no checkpoint that is known.
    """
    found = format_of(files)
    if not found or not found.takes_model_config:
        raise _no_raw_checkpoint(files, name)
    if not name.strip():
        raise ModelConfigError(
            "--model-config is empty; give a folder, an alias or a hub id, or leave it out."
        )
    if name not in aliases() and (folder := _local_config(name)):
        return replace(files, model_config=folder)
    if name not in aliases() and not HUB_ID.fullmatch(name.partition("@")[0]) and "/" not in name:
        hint = "It takes a folder with config.json and a tokenizer, an alias or a hub id."
        raise ModelConfigError(str(UnknownName("value of --model-config", name, aliases(), hint)))
    try:
        return replace(files, model_config=from_hub(name))
    except ModelError as error:
        raise ModelConfigError(f"--model-config {name}: {error}") from None


def _no_raw_checkpoint(files: ModelFiles, model_config: str) -> ModelError:
    """The model has a configuration already, or it is nothing yet: a folder in which a trainer begins."""
    if files.is_hf_folder and not ((files.folder / "config.json").is_file() and has_weights(files)):
        kinds = sorted(each.name for each in CHECKPOINT_FORMATS.load_all() if each.takes_model_config)
        return ModelError(
            f"Model '{files.name}' is neither a raw checkpoint of a known format ({', '.join(kinds)}) nor a "
            "folder with config.json and weights."
        )
    return ModelConfigError(
        f"--model-config {model_config} is for raw checkpoints, and model '{files.name}' has its own "
        "configuration: leave it out."
    )


def _local_config(name: str) -> Path | None:
    """The folder of configuration and tokenizer at this path; None if there is nothing."""
    path = without_tilde(name)
    try:
        if not path.exists():
            return None
        configured = (path / "config.json").is_file()
    except OSError as error:  # no permission, or a name that is too long
        raise ModelConfigError(f"--model-config {name} cannot be accessed: {error.strerror}.") from None
    if not path.is_dir():
        raise ModelConfigError(
            f"--model-config {name} is a file; give a folder with config.json and a tokenizer."
        )
    if not configured:
        raise ModelConfigError(f"--model-config {name}: the folder has no config.json.")
    return path.resolve()
