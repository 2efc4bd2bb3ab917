"""The base class of formats of raw checkpoints, which get configuration and tokenizer from another folder."""

import shutil
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.checkpoints.building import check_free_disk
from evalsuite.checkpoints.converted import ConvertedFormat, cache_home, checkpoint_of
from evalsuite.checkpoints.digests import CONFIG_FILES, tokenizer_digest
from evalsuite.checkpoints.file_digests import digest_by_name
from evalsuite.checkpoints.files import read_config
from evalsuite.checkpoints.model_files import ModelFiles
from evalsuite.checkpoints.raw.conversions import hold, remove_older
from evalsuite.errors import ModelConfigError, ModelError
from evalsuite.types import sha256_of

if TYPE_CHECKING:
    from evalsuite.checkpoints.raw.stored import Stored
    from evalsuite.checkpoints.raw.target import TargetModel

REFUSED_SETTINGS = {
    "auto_map": "runs the model's own Python code",
    "quantization_config": "describes quantised weights",
}
"""Settings of a configuration with which no raw checkpoint is read, and what they do."""


class RawFormat(ConvertedFormat):
    """Base class of a `CheckpointFormat` for checkpoints of a training framework.

    The folder of `--model-config` gives configuration and tokenizer; a subclass recognises a checkpoint and
    finds in it a reader for every tensor of the model. The conversion has one tensor in memory at a time.
    """

    takes_model_config = True

    @abstractmethod
    def tensors(self, files: ModelFiles, target: "TargetModel") -> "Mapping[str, Stored]":
        """A reader for every tensor of the model, by a name that transformers loads, from `account`.

        Raises:
            ModelError: a tensor is missing, left over or misshapen, or the checkpoint is damaged.
        """

    def check(self, files: ModelFiles) -> None:
        """Refuse a checkpoint without its model's configuration; a format that checks more extends this."""
        config = self.config(files)
        for setting, what in REFUSED_SETTINGS.items():
            if config.get(setting):
                raise ModelConfigError(
                    f"--model-config {config_folder(files)}: a raw checkpoint cannot be read with a "
                    f"configuration that {what} ({setting} in config.json)."
                )

    def config(self, files: ModelFiles) -> dict[str, Any]:
        """`config.json` of the folder that the user gave."""
        return read_config(_as_folder(files))

    def parameters(self, files: ModelFiles) -> int | None:
        """Counted from the configuration."""
        return self.target(files).parameters

    def target(self, files: ModelFiles) -> "TargetModel":
        """The tensors that the model has by its configuration."""
        from evalsuite.checkpoints.raw.target import target_model

        return target_model(config_folder(files), self.config(files))

    def content(self, files: ModelFiles, *, verify: bool) -> str:
        """Digest of the weights and of the configuration."""
        config = digest_by_name(_config_files(files), verify)
        return sha256_of([self.weights_content(files, verify=verify), config])

    def weights_content(self, files: ModelFiles, *, verify: bool) -> str:
        """Digest of the weights: of their files, unless a format knows where in these the weights are."""
        return super().content(files, verify=verify)

    def tokenizer_digest(self, files: ModelFiles, *, verify: bool) -> str:
        """That of the folder, so that it is the same for all checkpoints of a training."""
        return tokenizer_digest(_as_folder(files), verify=verify)

    def tokenizer_folder(self, files: ModelFiles) -> Path:
        """The folder that the user gave."""
        return config_folder(files)

    def write_tokenizer(self, files: ModelFiles, folder: Path) -> None:
        """Not called: `tokenizer_folder` needs no conversion."""
        raise NotImplementedError

    def model_folder(self, files: ModelFiles) -> Path:
        """The model's conversion in the user's cache, where only the latest ones are kept."""
        hold(self.home(self.content(files, verify=False)))
        folder = super().model_folder(files)
        remove_older(cache_home(self.name))
        return folder

    def write_model(self, files: ModelFiles, folder: Path) -> None:
        """Write `config.json` as it is, and the weights."""
        from evalsuite.checkpoints.raw.write import write_weights

        tensors = self.tensors(files, self.target(files))
        check_free_disk(sum(stored.size for stored in tensors.values()), folder)
        for name, path in _config_files(files).items():
            shutil.copyfile(path, folder / name)
        try:
            write_weights(tensors, folder)
        except EOFError:
            raise ModelError(
                f"Checkpoint {checkpoint_of(files)} is cut off: wait until it is written, or write it again."
            ) from None


def config_folder(files: ModelFiles) -> Path:
    """The folder with the model's configuration and tokenizer.

    Raises:
        ModelConfigError: the user gave none.
    """
    if files.model_config is None:
        raise ModelConfigError(
            f"Model '{files.name}' is a raw checkpoint, without configuration and tokenizer: give "
            "--model-config with a folder (or an alias, or a hub id) that has both for this model."
        )
    return files.model_config


def _as_folder(files: ModelFiles) -> ModelFiles:
    """The folder of configuration and tokenizer as a model without weights."""
    folder = config_folder(files)
    return ModelFiles(str(folder), folder)


def _config_files(files: ModelFiles) -> dict[str, Path]:
    folder = config_folder(files)
    return {name: folder / name for name in CONFIG_FILES if (folder / name).is_file()}
