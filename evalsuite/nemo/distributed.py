"""Megatron-Core's distributed checkpoints: tensors stored in blocks, with all layers stacked in one tensor.

Two kinds: `zarr` (a folder of raw chunks for each tensor) and `torch_dist` (PyTorch's distributed
checkpoint). Sources: Megatron-Core, `dist_checkpointing/strategies/zarr.py` and `torch.py`; Zarr
specification 2; torch 2.13, `distributed/checkpoint/metadata.py` and `filesystem.py`.
"""

import io
import json
import math
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from evalsuite.errors import ModelError
from evalsuite.nemo.archive import ArchiveMember, NemoArchive
from evalsuite.nemo.names import Key, parse
from evalsuite.nemo.stored import Block, Stored, entry_of, read_bytes, whole_of

ZARR_HEADER = "/.zarray"
ZARR_TYPES = {"<f4": torch.float32, "<f2": torch.float16, "bfloat16": torch.bfloat16}
TORCH_INDEX = ".metadata"
INDEX_CLASSES = {
    "collections": {"OrderedDict"},
    "torch": {
        "Size",
        "device",
        "float64",
        "float32",
        "float16",
        "bfloat16",
        "float8_e4m3fn",
        "float8_e5m2",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
    },
    "torch.serialization": {"_get_layout"},
    "torch.distributed.checkpoint.metadata": {
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
}
"""The classes that may be read from the pickled index of PyTorch's checkpoint."""


@dataclass(frozen=True, slots=True)
class BlockedTensor:
    """A tensor that is stored in blocks."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    blocks: Sequence[Block]


def distributed_weights(archive: NemoArchive, plain: Path) -> dict[Key, Stored]:
    """Every weight of a distributed checkpoint by name and layer; none is read yet.

    Args:
        archive: the content of the archive.
        plain: its decompressed tar.

    Raises:
        ModelError: damaged, of another kind, or with tensors that a GPT with Nemotron's layers does not have.
    """
    reader = _torch_tensors if TORCH_INDEX in archive.distributed else _zarr_tensors
    whole: dict[Key, Stored] = {}
    try:
        for text, tensor in reader(archive.distributed, plain):
            name = parse(text)
            if name is None:
                continue
            if name.stacked:
                for layer in range(tensor.shape[0]):
                    whole[name.tensor, layer] = entry_of(tensor.blocks, tensor.shape, tensor.dtype, layer)
            else:
                whole[name.tensor, name.layer] = whole_of(tensor.blocks, tensor.shape, tensor.dtype)
    except KeyError as error:
        raise ModelError(
            f"Model archive {archive.path}: its distributed checkpoint has a missing or unknown "
            f"entry, {error.args[0]}."
        ) from None
    except (ValueError, TypeError, AttributeError, IndexError, EOFError, pickle.UnpicklingError):
        raise ModelError(f"Model archive {archive.path}: its distributed checkpoint is damaged.") from None
    return whole


def _zarr_tensors(members: Mapping[str, ArchiveMember], plain: Path) -> Iterator[tuple[str, BlockedTensor]]:
    for file, member in members.items():
        if not file.endswith(ZARR_HEADER):
            continue
        name = file.removesuffix(ZARR_HEADER)
        if parse(name) is None:
            continue
        header = json.loads(_bytes(plain, member))
        if header["compressor"] or header.get("filters") or header["order"] != "C":
            raise ValueError("not as Megatron-Core writes it")
        shape, chunk = tuple(header["shape"]), tuple(header["chunks"])
        dtype = ZARR_TYPES[header["dtype"]]
        separator = header.get("dimension_separator", ".")
        grid = product(*(range(math.ceil(size / step)) for size, step in zip(shape, chunk, strict=True)))
        blocks = []
        for at in grid:
            stored = members[f"{name}/{separator.join(map(str, at))}"]
            if stored.size != math.prod(chunk) * dtype.itemsize:
                raise ValueError("a chunk of another size")
            read = partial(_raw, plain, stored.offset, dtype, chunk)
            offsets = tuple(number * step for number, step in zip(at, chunk, strict=True))
            blocks.append(Block(offsets, Stored(chunk, dtype, read)))
        yield name, BlockedTensor(shape, dtype, blocks)


def _bytes(plain: Path, member: ArchiveMember) -> bytes:
    return read_bytes(plain, member.offset, torch.uint8, member.size).numpy().tobytes()


def _raw(plain: Path, offset: int, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    return read_bytes(plain, offset, dtype, math.prod(shape)).view(shape)


class _Ignored:
    """Replaces any object of the index that is not needed, such as the writer's plans and paths."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, _: Any, __: Any) -> None:
        pass

    def extend(self, _: Any) -> None:
        """Does nothing."""


class _IndexReader(pickle.Unpickler):
    """Reads PyTorch's index; runs no code except that of `INDEX_CLASSES`."""

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(module, name) if name in INDEX_CLASSES.get(module, ()) else _Ignored


def _torch_tensors(members: Mapping[str, ArchiveMember], plain: Path) -> Iterator[tuple[str, BlockedTensor]]:
    index = _IndexReader(io.BytesIO(_bytes(plain, members[TORCH_INDEX]))).load()
    locations = {(key.fqn, tuple(key.offset or ())): found for key, found in index.storage_data.items()}
    for name, entry in index.state_dict_metadata.items():
        if not hasattr(entry, "chunks") or parse(name) is None:
            continue
        dtype = entry.properties.dtype
        blocks = []
        for chunk in entry.chunks:
            location = locations[name, tuple(chunk.offsets)]
            file = members[location.relative_path]
            if location.offset + location.length > file.size:
                raise EOFError
            member = ArchiveMember(file.offset + location.offset, location.length)
            shape = tuple(chunk.sizes)
            blocks.append(
                Block(tuple(chunk.offsets), Stored(shape, dtype, partial(_pickled, plain, member, shape)))
            )
        yield name, BlockedTensor(tuple(entry.size), dtype, blocks)


def _pickled(plain: Path, member: ArchiveMember, shape: tuple[int, ...]) -> torch.Tensor:
    content = read_bytes(plain, member.offset, torch.uint8, member.size)
    tensor: torch.Tensor = torch.load(io.BytesIO(content.numpy().data), weights_only=True)
    return tensor.detach().reshape(shape)
