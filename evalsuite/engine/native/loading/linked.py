"""Folders with links to exactly the files that a model's digest covers; loaders see no other file.

Other files can therefore have no effect: other formats of the weights, an adapter, or a file of the same name
in the working directory, which transformers prefers to the model's own GGUF file.
"""

import atexit
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from evalsuite.checkpoints import ModelFiles, model_folder
from evalsuite.checkpoints.adapters import adapter_files
from evalsuite.checkpoints.digests import loaded_files
from evalsuite.checkpoints.gguf_package import speed_up_gguf
from evalsuite.checkpoints.weights import INDEX, find_weights, read_index
from evalsuite.errors import ModelError


def loader_arguments(files: ModelFiles) -> tuple[Path, str | None]:
    """The folder and the GGUF file (absolute path) for transformers to load.

    Raises:
        ModelError: files are missing, a checkpoint cannot be converted, or links cannot be made.
    """
    if files.format:
        return model_folder(files), None
    if files.gguf_path:
        speed_up_gguf()
        folder = _linked({"model.gguf": files.gguf_path}, files.folder.name)
        return folder, str(folder / "model.gguf")
    folder = _linked(loaded_files(files), files.folder.name)
    form = find_weights(files).form
    if form.endswith(INDEX):
        index = read_index(files, form)
        metadata = index.get("metadata")
        known = {
            "metadata": metadata if isinstance(metadata, dict) else {},
            "weight_map": index["weight_map"],
        }
        (folder / form).write_text(json.dumps(known), "utf-8")
    return folder, None


def linked_adapter(files: ModelFiles) -> Path:
    """A folder with the adapter's configuration and weights; errors are as in `loader_arguments`."""
    assert files.adapter is not None
    return _linked(adapter_files(files.name, files.adapter), files.adapter.name)


def _linked(paths: Mapping[str, Path], name: str) -> Path:
    """A new folder, kept until the process ends: layers that stay on disk are read from it later."""
    try:
        scratch = Path(tempfile.mkdtemp(prefix="evalsuite-model-"))
        atexit.register(shutil.rmtree, scratch, ignore_errors=True)
        folder = scratch / (name or "model")
        folder.mkdir()
        for within, path in paths.items():
            (folder / within).parent.mkdir(parents=True, exist_ok=True)
            (folder / within).symlink_to(path.absolute())
    except OSError as error:
        raise ModelError(
            f"Links to the model's files cannot be made in {tempfile.gettempdir()}: {error.strerror}; "
            "set TMPDIR to another folder."
        ) from None
    return folder
