"""Megatron-Core's distributed checkpoints in archives, with all layers stacked in one tensor.

Two kinds: `zarr` (a folder of raw chunks for each tensor) and `torch_dist` (PyTorch's distributed
checkpoint). Sources: Megatron-Core, `dist_checkpointing/strategies/zarr.py` and `torch.py`; Zarr
specification 2.
"""

import json
import math
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product

import torch

from evalsuite.checkpoints.raw.distributed import DISTRIBUTED_INDEX, INDEX_DAMAGE, distributed_tensors
from evalsuite.checkpoints.raw.stored import Block, BlockedTensor, FilePart, Stored, read_bytes
from evalsuite.errors import ModelError
from evalsuite.megatron.assemble import from_blocks
from evalsuite.megatron.names import Key, parse
from evalsuite.nemo.archive import NemoArchive

ZARR_HEADER = "/.zarray"
ZARR_TYPES = {"<f4": torch.float32, "<f2": torch.float16, "bfloat16": torch.bfloat16}


def distributed_weights(files: Mapping[str, FilePart], archive: NemoArchive) -> dict[Key, Stored]:
    """Every weight of a distributed checkpoint by name and layer; none is read yet.

    Args:
        files: the checkpoint's files, by path within its folder.
        archive: that holds them, for messages.

    Raises:
        ModelError: damaged, of another kind, or with tensors that a GPT with Nemotron's layers does not have.
    """
    reader = distributed_tensors if DISTRIBUTED_INDEX in files else _zarr_tensors
    try:
        return from_blocks(reader(files))
    except KeyError as error:
        raise ModelError(
            f"Model archive {archive.path}: its distributed checkpoint has a missing or unknown "
            f"entry, {error.args[0]}."
        ) from None
    except INDEX_DAMAGE:
        raise ModelError(f"Model archive {archive.path}: its distributed checkpoint is damaged.") from None


def _zarr_tensors(files: Mapping[str, FilePart]) -> Iterator[tuple[str, BlockedTensor]]:
    for file, part in files.items():
        if not file.endswith(ZARR_HEADER):
            continue
        name = file.removesuffix(ZARR_HEADER)
        if parse(name) is None:
            continue
        header = json.loads(part.bytes())
        if header["compressor"] or header.get("filters") or header["order"] != "C":
            raise ValueError("not as Megatron-Core writes it")
        shape, chunk = tuple(header["shape"]), tuple(header["chunks"])
        dtype = ZARR_TYPES[header["dtype"]]
        separator = header.get("dimension_separator", ".")
        grid = product(*(range(math.ceil(size / step)) for size, step in zip(shape, chunk, strict=True)))
        blocks = []
        for at in grid:
            stored = files[f"{name}/{separator.join(map(str, at))}"]
            if stored.size != math.prod(chunk) * dtype.itemsize:
                raise ValueError("a chunk of another size")
            offsets = tuple(number * step for number, step in zip(at, chunk, strict=True))
            blocks.append(Block(offsets, Stored(chunk, dtype, partial(_raw, stored, dtype, chunk))))
        yield name, BlockedTensor(shape, dtype, blocks)


def _raw(part: FilePart, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    return read_bytes(part.path, part.offset, dtype, math.prod(shape)).view(shape)
