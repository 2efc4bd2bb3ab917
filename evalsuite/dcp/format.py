"""Distributed checkpoints of PyTorch as a `CheckpointFormat`: the entry point `dcp`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evalsuite.checkpoints import CheckpointFormat, ModelFiles
from evalsuite.checkpoints.converted import checkpoint_of
from evalsuite.checkpoints.file_digests import parts_digest
from evalsuite.checkpoints.raw.format import RawFormat
from evalsuite.dcp.layout import DISTRIBUTED_INDEX_NAME, distributed_folder
from evalsuite.errors import ModelError
from evalsuite.types import sha256_of

if TYPE_CHECKING:
    from evalsuite.checkpoints.raw.stored import Stored
    from evalsuite.checkpoints.raw.target import TargetModel
    from evalsuite.dcp.index import CheckpointIndex


class DistributedFormat(RawFormat):
    """A folder with `.metadata` and `*.distcp`, or a trainer's folder around one."""

    name = "dcp"
    conversion = 1

    def recognizes(self, path: Path) -> bool:
        """By the names of its files; whether it is complete is said by `check`."""
        return distributed_folder(path) is not None

    def check(self, files: ModelFiles) -> None:
        """Refuse what is not complete, too: each file must have all bytes that the index needs."""
        super().check(files)
        _index(files)

    def weight_files(self, files: ModelFiles) -> Mapping[str, Path]:
        """The index, and the files that hold weights; training state often lies in the same files."""
        from evalsuite.dcp.names import clean

        index = _index(files)
        own = clean(index.tensors).weights.values()
        names = {DISTRIBUTED_INDEX_NAME, *(file for name in own for file, _, _ in index.places[name])}
        return {name: index.folder / name for name in sorted(names)}

    def weights_content(self, files: ModelFiles, *, verify: bool) -> str:
        """Digest of the names, shapes and bytes of the weights: an optimizer is several times as large."""
        from evalsuite.dcp.names import clean

        index = _index(files)
        listing: list[object] = []
        parts: dict[str, list[tuple[int, int]]] = {}
        for name in sorted(clean(index.tensors).weights.values()):
            tensor, places = index.tensors[name], index.places[name]
            blocks = sorted((*block.offsets, *block.stored.shape) for block in tensor.blocks)
            listing.append([name, tensor.shape, str(tensor.dtype), blocks, places])
            for file, offset, length in places:
                parts.setdefault(file, []).append((offset, length))
        digests = [
            [file, parts_digest(index.folder / file, sorted(found), verify=verify)]
            for file, found in sorted(parts.items())
        ]
        return sha256_of([listing, digests])

    def notes(self, files: ModelFiles) -> tuple[str, ...]:
        """The naming, and how much training state is not read."""
        from evalsuite.dcp.choose import named_weights
        from evalsuite.dcp.names import clean

        index = _index(files)
        weights = named_weights(index, self.target(files))
        state = clean(index.tensors).training_state
        counts = ", ".join(f"{segment} ({count})" for segment, count in state.items())
        naming = f"weights are read from a distributed checkpoint with {weights.naming.title} names"
        return (naming, *([f"training state in the checkpoint that is not read: {counts}"] if state else []))

    def tensors(self, files: ModelFiles, target: "TargetModel") -> "Mapping[str, Stored]":
        """In transformers' names, torchtitan's or OLMo-core's."""
        from evalsuite.dcp.choose import model_tensors

        return model_tensors(_index(files), target)


def _index(files: ModelFiles) -> "CheckpointIndex":
    from evalsuite.dcp.index import read_checkpoint

    checkpoint = checkpoint_of(files)
    try:
        folder = distributed_folder(checkpoint)
    except OSError as error:
        raise ModelError(f"Checkpoint {checkpoint} cannot be read: {error.strerror}.") from None
    return read_checkpoint(folder or checkpoint)


FORMAT: CheckpointFormat = DistributedFormat()
