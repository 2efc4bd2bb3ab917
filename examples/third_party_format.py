"""A checkpoint format of your own in one file: the folders that a training loop in NumPy or JAX might write.

Install it in a package whose pyproject.toml says

    [project.entry-points."evalsuite.checkpoint_formats"]
    arrays = "third_party_format:FORMAT"

and run `evalsuite run --tasks kitchen --model training/step-1000`. Such a folder holds `model.json` (what
transformers has in config.json), `weights.npz` (an array for each weight) and the tokenizer's files.
"""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.converted import ConvertedFormat, checkpoint_of
from evalsuite.errors import ModelError


class ArraysFormat(ConvertedFormat):
    """Written once as a folder for transformers; see `evalsuite.checkpoints.CheckpointFormat`."""

    name = "arrays"  # as in pyproject.toml
    conversion = 1  # raise it when `write_model` or `write_tokenizer` writes something else

    def recognizes(self, path: Path) -> bool:
        """Look at names alone: evalsuite asks about every folder that has no config.json."""
        return (path / "model.json").is_file() and (path / "weights.npz").is_file()

    def check(self, files: ModelFiles) -> None:
        """The index of an .npz file is written last, so that a file with one is whole."""
        path = checkpoint_of(files) / "weights.npz"
        if not zipfile.is_zipfile(path):
            raise ModelError(f"Checkpoint {path} is not whole: wait until it is written, or write it again.")
        self.config(files)

    def config(self, files: ModelFiles) -> dict[str, Any]:
        """The model's configuration."""
        path = checkpoint_of(files) / "model.json"
        try:
            return json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            raise ModelError(f"Model '{files.name}': {path} is not readable JSON.") from None

    def write_model(self, files: ModelFiles, folder: Path) -> None:
        """Write each weight under the name that transformers gives it."""
        import numpy as np
        from safetensors.numpy import save_file

        (folder / "config.json").write_text(json.dumps(self.config(files)), "utf-8")
        with np.load(checkpoint_of(files) / "weights.npz") as arrays:
            weights = {name.replace("/", "."): arrays[name] for name in arrays}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    def write_tokenizer(self, files: ModelFiles, folder: Path) -> None:
        """Take the files as they are."""
        for path in checkpoint_of(files).glob("tokenizer*"):
            shutil.copy(path, folder)


FORMAT = ArraysFormat()
