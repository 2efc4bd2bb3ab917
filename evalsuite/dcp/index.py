"""The index of a distributed checkpoint, and whether its files hold what the index says.

Source: torch 2.13, `distributed/checkpoint/filesystem.py`: every process writes files `__<rank>_<n>.distcp`,
then the first one writes `.metadata`, under another name until it is whole.
"""

import functools
import math
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile

import torch

from evalsuite.checkpoints.raw.distributed import (
    DISTRIBUTED_INDEX,
    INDEX_DAMAGE,
    RefusedClassError,
    distributed_tensors,
    read_distributed_index,
)
from evalsuite.checkpoints.raw.stored import BlockedTensor, FilePart, Stored
from evalsuite.dcp.layout import AGAIN
from evalsuite.errors import ModelError

READ_DAMAGE = (ModelError, RuntimeError, EOFError, KeyError, BadZipFile, *INDEX_DAMAGE)
"""Exceptions, beside OSError, from reading a tensor whose bytes are damaged."""


@dataclass(frozen=True, slots=True)
class CheckpointIndex:
    """What a distributed checkpoint holds, by the names that its trainer gave."""

    folder: Path
    tensors: Mapping[str, BlockedTensor]
    objects: tuple[str, ...]
    """Names of what is not a tensor: step counters, states of random generators and of data loaders."""
    places: Mapping[str, tuple[tuple[str, int, int], ...]]
    """By tensor: file, offset and length in bytes of each block, sorted."""

    def stored(self, name: str) -> Stored:
        """A tensor, whose reader raises ModelError for damage."""
        tensor = self.tensors[name].stored
        return Stored(tensor.shape, tensor.dtype, functools.partial(self._read, name, tensor.read))

    def _read(self, name: str, read: Callable[[], torch.Tensor]) -> torch.Tensor:
        expected = self.tensors[name]
        try:
            values = read()
            if values.dtype != expected.dtype or tuple(values.shape) != expected.shape:
                raise ValueError(f"{values.dtype} of shape {tuple(values.shape)}")
        except OSError as error:
            raise ModelError(f"Checkpoint {self.folder} cannot be read: {error.strerror}.") from None
        except READ_DAMAGE:
            where = ", ".join(sorted({file for file, _, _ in self.places[name]}))
            raise ModelError(
                f"Checkpoint {self.folder} is damaged: tensor {name} in {where} cannot be read; {AGAIN}."
            ) from None
        return values


def read_checkpoint(folder: Path) -> CheckpointIndex:
    """Read the index of a complete checkpoint, and none of its tensors; once for each state of the index.

    Args:
        folder: the folder that holds `.metadata`.

    Raises:
        ModelError: unreadable, not complete, damaged, or refused.
    """
    path = folder / DISTRIBUTED_INDEX
    try:
        stat = path.stat()
        parts = {
            file.relative_to(folder).as_posix(): FilePart.whole(file)
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
        index = _parsed(path, stat.st_size, stat.st_mtime_ns)
        needed = _bytes_needed(index)
    except FileNotFoundError:
        raise ModelError(
            f"Checkpoint {folder} is not complete: it has no {DISTRIBUTED_INDEX}, which is written last; "
            f"{AGAIN}."
        ) from None
    except OSError as error:
        raise ModelError(f"Checkpoint {folder} cannot be read: {error.strerror}.") from None
    except RefusedClassError as error:
        raise ModelError(
            f"Checkpoint {folder} is refused: its {DISTRIBUTED_INDEX} is a pickle that names {error}, which "
            "no checkpoint needs."
        ) from None
    except (*INDEX_DAMAGE, KeyError):
        raise _damaged_index(folder) from None
    _check_files(folder, parts, needed)
    return _listed(folder, parts, index)


@functools.lru_cache(maxsize=4)
def _parsed(path: Path, size: int, changed: int) -> Any:
    index = read_distributed_index({DISTRIBUTED_INDEX: FilePart(path, 0, size)})
    if not isinstance(index.state_dict_metadata, dict) or not isinstance(index.storage_data, dict):
        raise pickle.UnpicklingError("no state dict")
    return index


def _bytes_needed(index: Any) -> dict[str, int]:
    """Least size of each file in bytes."""
    needed: dict[str, int] = {}
    for found in index.storage_data.values():
        if getattr(found, "transform_descriptors", None):
            raise ValueError("compressed")
        end = found.offset + found.length
        needed[found.relative_path] = max(end, needed.get(found.relative_path, 0))
    return needed


def _check_files(folder: Path, parts: Mapping[str, FilePart], needed: Mapping[str, int]) -> None:
    """Raises ModelError unless every file is there with all bytes that the index needs."""
    for name, size in sorted(needed.items()):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ModelError(f"Checkpoint {folder} is refused: its index names a file outside of it, {name}.")
        if name not in parts:
            raise ModelError(f"Checkpoint {folder} is not complete: {name} is missing; {AGAIN}.")
        if parts[name].size < size:
            raise ModelError(
                f"Checkpoint {folder} is not complete: {name} has {parts[name].size} bytes of at least "
                f"{size}; {AGAIN}."
            )


def _listed(folder: Path, parts: Mapping[str, FilePart], index: Any) -> CheckpointIndex:
    entries = index.state_dict_metadata
    try:
        tensors = dict(distributed_tensors(parts, index))
        for name, tensor in tensors.items():
            _check_blocks(folder, name, tensor)
        places: dict[str, list[tuple[str, int, int]]] = {name: [] for name in tensors}
        for key, found in index.storage_data.items():
            if key.fqn in places:
                places[key.fqn].append((found.relative_path, found.offset, found.length))
    except (*INDEX_DAMAGE, KeyError):
        raise _damaged_index(folder) from None
    return CheckpointIndex(
        folder,
        tensors,
        tuple(name for name in entries if name not in tensors),
        {name: tuple(sorted(blocks)) for name, blocks in places.items()},
    )


def _check_blocks(folder: Path, name: str, tensor: BlockedTensor) -> None:
    """Raises ModelError unless the blocks lie within the tensor and are as large as it together."""
    count = 0
    for block in tensor.blocks:
        ends = (start + size for start, size in zip(block.offsets, block.stored.shape, strict=True))
        if any(end > size for end, size in zip(ends, tensor.shape, strict=True)):
            raise ValueError(f"a block beyond {name}")
        count += math.prod(block.stored.shape)
    if count != math.prod(tensor.shape):
        raise ModelError(
            f"Checkpoint {folder} is not complete: it holds {count} of {math.prod(tensor.shape)} values of "
            f"tensor {name}; {AGAIN}."
        )


def _damaged_index(folder: Path) -> ModelError:
    return ModelError(
        f"Checkpoint {folder} is damaged: its {DISTRIBUTED_INDEX} is not a readable index of "
        "torch.distributed.checkpoint without compression."
    )
