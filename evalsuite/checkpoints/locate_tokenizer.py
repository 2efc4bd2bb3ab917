"""Finds a tokenizer without its model's weights, for `--tokenizer` and for models that a server has."""

import importlib.util
from pathlib import Path

from evalsuite.checkpoints.aliases import aliases
from evalsuite.checkpoints.files import TOKENIZER_FILES, tokenizer_files
from evalsuite.checkpoints.locate import resolve
from evalsuite.checkpoints.model_files import HUB_ID, ModelFiles
from evalsuite.errors import ModelError
from evalsuite.files.caches import without_tilde
from evalsuite.offline import why_unreachable


def resolve_tokenizer(name: str) -> ModelFiles:
    """The files of a tokenizer; from the hub no weights are downloaded.

    Args:
        name: a folder with tokenizer files, or any name that `resolve` takes.

    Raises:
        ModelError: one sentence that says what is wrong and what to do.
    """
    folder = without_tilde(name)
    if folder.is_dir():
        files = ModelFiles(name, folder.resolve())
        return files if tokenizer_files(files) else resolve(name)
    base, _, revision = name.partition("@")
    alias = aliases().get(base)
    packaged = alias is not None and alias.package and importlib.util.find_spec(alias.package) is not None
    hub_id = alias.hub_id if alias else base
    path_like = name.startswith((".", "/", "~"))
    if folder.exists() or packaged or path_like or not HUB_ID.fullmatch(hub_id):
        return resolve(name)
    return _from_hub(name, hub_id, revision or None)


def _from_hub(name: str, hub_id: str, revision: str | None) -> ModelFiles:
    from huggingface_hub import errors, snapshot_download

    try:
        folder = snapshot_download(
            hub_id,
            revision=revision,
            local_files_only=bool(why_unreachable()),
            allow_patterns=["config.json", *TOKENIZER_FILES],
            ignore_patterns=["*/*"],
        )
    except (OSError, ValueError, errors.HfHubHTTPError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise ModelError(f"The tokenizer '{name}' could not be found or downloaded: {first_line}") from None
    files = ModelFiles(name, Path(folder), hub_id=hub_id, revision=revision)
    if not tokenizer_files(files):
        raise ModelError(f"Model '{name}' has no tokenizer files.")
    return files
