"""NeMo archives as a `CheckpointFormat`: the entry point `nemo`."""

from pathlib import Path
from typing import Any

from evalsuite.checkpoints import CheckpointFormat, ModelFiles
from evalsuite.checkpoints.converted import ConvertedFormat, checkpoint_of
from evalsuite.nemo.archive import is_tar, read_archive
from evalsuite.nemo.config import nemotron_config


class NemoFormat(ConvertedFormat):
    """A `.nemo` file of a GPT with Nemotron's layers; torch is imported when one is converted."""

    name = "nemo"
    suffixes = (".nemo",)
    conversion = 1

    def recognizes(self, path: Path) -> bool:
        """A tar file, whatever its name; what else it must hold is said when it is read."""
        return path.is_file() and is_tar(path)

    def config(self, files: ModelFiles) -> dict[str, Any]:
        """As far as the archive's `model_config.yaml` tells."""
        return nemotron_config(files.name, read_archive(checkpoint_of(files)).settings)

    def write_model(self, files: ModelFiles, folder: Path) -> None:
        """Write `config.json` and the weights, one tensor in memory at a time."""
        from evalsuite.nemo.convert import write_model

        write_model(read_archive(checkpoint_of(files)), folder)

    def write_tokenizer(self, files: ModelFiles, folder: Path) -> None:
        """Write the tokenizer's files."""
        from evalsuite.nemo.tokenizer import write_tokenizer

        write_tokenizer(read_archive(checkpoint_of(files)), folder)


FORMAT: CheckpointFormat = NemoFormat()
