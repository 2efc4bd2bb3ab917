"""PyTorch's distributed checkpoints: tensors that are stored in blocks, in files with one pickled index.

Source: torch 2.13, `distributed/checkpoint/metadata.py` and `filesystem.py`.
"""

import io
import pickle
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch

from evalsuite.checkpoints.raw.stored import Block, BlockedTensor, FilePart, Stored

DISTRIBUTED_INDEX = ".metadata"
INDEX_DAMAGE = (ValueError, TypeError, AttributeError, IndexError, EOFError, pickle.UnpicklingError)
"""Exceptions, beside OSError and KeyError, from reading a damaged checkpoint."""
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


def distributed_tensors(files: Mapping[str, FilePart]) -> Iterator[tuple[str, BlockedTensor]]:
    """The tensors of a distributed checkpoint by name, in the order of its index; none is read yet.

    Objects that are not tensors are left out.

    Args:
        files: the checkpoint's files, by path within its folder.

    Raises:
        KeyError: a file or block is missing; its argument names the file, or the tensor and the block.
        EOFError: a file is cut off; its argument names the file.
        ValueError, TypeError, AttributeError, IndexError, pickle.UnpicklingError: the index is damaged.
        OSError: a file cannot be read.
    """
    index = _IndexReader(io.BytesIO(files[DISTRIBUTED_INDEX].bytes())).load()
    locations = {(key.fqn, tuple(key.offset or ())): found for key, found in index.storage_data.items()}
    for name, entry in index.state_dict_metadata.items():
        if not hasattr(entry, "chunks"):
            continue
        shape, dtype = tuple(entry.size), entry.properties.dtype
        blocks = []
        for chunk in entry.chunks:
            location = locations[name, tuple(chunk.offsets)]
            file = files[location.relative_path]
            if location.offset + location.length > file.size:
                raise EOFError(location.relative_path)
            part = FilePart(file.path, file.offset + location.offset, location.length)
            sizes = tuple(chunk.sizes)
            blocks.append(Block(tuple(chunk.offsets), Stored(sizes, dtype, partial(_pickled, part, sizes))))
        yield name, BlockedTensor(shape, dtype, blocks)


def _pickled(part: FilePart, shape: tuple[int, ...]) -> torch.Tensor:
    content = part.part(0, part.size)
    tensor: torch.Tensor = torch.load(io.BytesIO(content.numpy().data), weights_only=True)
    return tensor.detach().reshape(shape)
