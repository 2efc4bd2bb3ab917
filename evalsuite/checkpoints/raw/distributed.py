"""PyTorch's distributed checkpoints: tensors that are stored in blocks, in files with one pickled index.

Source: torch 2.13, `distributed/checkpoint/metadata.py` and `filesystem.py`.
"""

import io
import pickle
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from zipfile import BadZipFile, ZipFile
from zlib import crc32

import torch

from evalsuite.checkpoints.raw.stored import Block, BlockedTensor, FilePart, Stored
from evalsuite.checkpoints.raw.torch_file import Window
from evalsuite.errors import ModelError

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
NOT_NEEDED = ("pathlib", "torch", "megatron", "nemo", "transformer_engine", "numpy")
"""Packages whose objects an index holds beside what is read: the writer's plans and paths."""


class _Ignored:
    """Replaces an object of the index that is not needed."""

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
        if name in INDEX_CLASSES.get(module, ()):
            return super().find_class(module, name)
        if module.partition(".")[0] in NOT_NEEDED:
            return _Ignored
        raise RefusedClassError(f"{module}.{name}")


class RefusedClassError(pickle.UnpicklingError):
    """An index names a class or function that no checkpoint needs; the text is its name."""


def read_distributed_index(files: Mapping[str, FilePart]) -> Any:
    """The index of a distributed checkpoint, torch's `Metadata`; arguments and errors as below."""
    return _IndexReader(io.BytesIO(files[DISTRIBUTED_INDEX].bytes())).load()


def distributed_tensors(
    files: Mapping[str, FilePart], index: Any = None
) -> Iterator[tuple[str, BlockedTensor]]:
    """The tensors of a distributed checkpoint by name, in the order of its index; none is read yet.

    Objects that are not tensors are left out.

    Args:
        files: the checkpoint's files, by path within its folder.
        index: from `read_distributed_index`; by default it is read.

    Raises:
        KeyError: a file or block is missing; its argument names the file, or the tensor and the block.
        EOFError: a file is cut off; its argument names the file.
        ValueError, TypeError, AttributeError, IndexError, pickle.UnpicklingError: the index is damaged, or
            names a class that is refused.
        OSError: a file cannot be read.
    """
    index = read_distributed_index(files) if index is None else index
    locations = {(key.fqn, tuple(key.offset or ())): found for key, found in index.storage_data.items()}
    for name, entry in index.state_dict_metadata.items():
        if not hasattr(entry, "chunks"):
            continue
        shape, dtype = tuple(entry.size), entry.properties.dtype
        blocks = []
        for chunk in entry.chunks:
            location = locations[name, tuple(chunk.offsets)]
            file = files[location.relative_path]
            if getattr(location, "transform_descriptors", None):
                raise ValueError("compressed")
            if location.offset + location.length > file.size:
                raise EOFError(location.relative_path)
            part = FilePart(file.path, file.offset + location.offset, location.length)
            sizes = tuple(chunk.sizes)
            blocks.append(Block(tuple(chunk.offsets), Stored(sizes, dtype, partial(_pickled, part, sizes))))
        yield name, BlockedTensor(shape, dtype, blocks)


def _pickled(part: FilePart, shape: tuple[int, ...]) -> torch.Tensor:
    """A block, which torch.save wrote; its checksum is compared, which torch.load does not do.

    `torch.serialization.set_crc32_options(False)` stores zeros in place of checksums.

    Loaded as a whole: with `read_torch_file`, whose tensors without values leave garbage behind, thousands of
    blocks would take as much memory as the weights.
    """
    damaged = ModelError(f"The weights in {part.path} are damaged: get them again.")
    try:
        with part.path.open("rb") as file:
            window = io.BufferedReader(Window(file, part.offset, part.size))
            tensor: torch.Tensor = torch.load(window, weights_only=True, map_location="cpu")
            checksums = {record.CRC for record in ZipFile(window).infolist()}
        values = tensor.detach().reshape(shape)
        stored = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
    except (*INDEX_DAMAGE, KeyError, RuntimeError, BadZipFile):
        raise damaged from None
    if any(checksums) and crc32(stored.numpy().data) not in checksums:
        raise damaged
    return values
