"""Megatron's checkpoints as a `CheckpointFormat`: the entry point `megatron`."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.checkpoints import CheckpointFormat, ModelFiles
from evalsuite.checkpoints.converted import checkpoint_of
from evalsuite.checkpoints.raw.format import RawFormat, config_folder
from evalsuite.errors import ModelError
from evalsuite.megatron.folders import (
    COMMON_FILE,
    INDEX_FILE,
    METADATA_FILE,
    RANK_FILE,
    is_distributed,
    is_training,
    rank_folders,
    training_refusal,
)

if TYPE_CHECKING:
    from evalsuite.checkpoints.raw.stored import Stored
    from evalsuite.checkpoints.raw.target import TargetModel
    from evalsuite.megatron.pickles import TrainingState


class MegatronFormat(RawFormat):
    """A folder `iter_0001000` of a Megatron training: `torch_dist`, or a file for each rank."""

    name = "megatron"
    conversion = 1

    def recognizes(self, path: Path) -> bool:
        """A checkpoint, finished or not, or the folder of a training, which `check` refuses."""
        return path.is_dir() and (is_distributed(path) or bool(rank_folders(path)) or is_training(path))

    def check(self, files: ModelFiles) -> None:
        """Refuse an unfinished or damaged checkpoint, and a configuration that the training contradicts."""
        from evalsuite.megatron.families import family_of

        path = checkpoint_of(files)
        if is_training(path):
            raise training_refusal(path)
        super().check(files)
        family_of(self.config(files).get("model_type"), config_folder(files))
        self._check_arguments(files, _state(path))

    def notes(self, files: ModelFiles) -> tuple[str, ...]:
        """Which iteration was read."""
        state = _state(checkpoint_of(files))
        if state.iteration is None:
            return ()
        return (f"Weights of iteration {state.iteration} of a Megatron training.",)

    def weight_files(self, files: ModelFiles) -> Mapping[str, Path]:
        """Without the files of the optimizer, where it has its own."""
        return _weight_files(checkpoint_of(files))

    def tensors(self, files: ModelFiles, target: "TargetModel") -> "Mapping[str, Stored]":
        """Every tensor of the model, from `account`."""
        from evalsuite.checkpoints.raw.account import account
        from evalsuite.megatron.arguments import check_padding
        from evalsuite.megatron.families import family_of, model_layout
        from evalsuite.megatron.layout import transformers_tensors
        from evalsuite.megatron.ranks import rank_weights
        from evalsuite.megatron.torch_dist import torch_dist_weights

        path, what = checkpoint_of(files), f"Checkpoint {checkpoint_of(files)}"
        state = _state(path)
        config = self._check_arguments(files, state)
        layout = model_layout(config, family_of(config.model_type, target.folder))
        weights, unknown = (
            torch_dist_weights(path) if is_distributed(path) else rank_weights(path, layout.sections)
        )
        if embedding := weights.get(("embedding.weight", None)):
            check_padding(embedding.shape[0], layout.vocabulary, state.arguments, what, target.folder)
        found, left_over = transformers_tensors(weights, layout, what)
        return account(
            target.in_memory, found, [*unknown, *left_over], checkpoint=path, config_folder=target.folder
        )

    def _check_arguments(self, files: ModelFiles, state: "TrainingState") -> Any:
        """transformers' configuration object, compared with the training's arguments."""
        from evalsuite.megatron.arguments import check_arguments
        from evalsuite.megatron.families import configuration, family_of

        folder = config_folder(files)
        config = configuration(folder)
        if state.arguments is not None:
            family = family_of(config.model_type, folder)
            check_arguments(state.arguments, config, family, f"Checkpoint {checkpoint_of(files)}", folder)
        return config


def _weight_files(path: Path) -> dict[str, Path]:
    ranks = [f"{folder}/{RANK_FILE}" for folder in rank_folders(path)]
    names = [COMMON_FILE, METADATA_FILE, INDEX_FILE, "*.distcp"] if is_distributed(path) else ranks
    found = sorted(file for name in names for file in path.glob(name) if file.is_file())
    return {file.relative_to(path).as_posix(): file for file in found}


def _state(path: Path) -> "TrainingState":
    """The training's arguments and iteration, of a whole checkpoint; read once in a process."""
    try:
        states = [(file, file.stat()) for file in _weight_files(path).values()]
    except OSError as error:
        raise ModelError(f"Checkpoint {path} cannot be read: {error.strerror}.") from None
    return _read_state(path, tuple((file, state.st_size, state.st_mtime_ns) for file, state in states))


@functools.lru_cache(maxsize=8)
def _read_state(path: Path, _: tuple[tuple[Path, int, int], ...]) -> "TrainingState":
    from evalsuite.megatron.ranks import ranks_state
    from evalsuite.megatron.torch_dist import torch_dist_state

    return torch_dist_state(path) if is_distributed(path) else ranks_state(path)


FORMAT: CheckpointFormat = MegatronFormat()
