"""Writes weights as safetensors files for transformers, with one tensor in memory at a time."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from evalsuite.checkpoints.raw.stored import Stored

SHARD_BYTES = 2 * 10**9
"""Largest weight file in bytes; only a single larger tensor exceeds it."""
INDEX_NAME = "model.safetensors.index.json"
ALIGNMENT = 8
"""The header's length is a multiple of this many bytes, so that values are aligned (safetensors 0.3)."""
TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}
"""Data types as safetensors names them."""


def write_weights(tensors: Mapping[str, Stored], folder: Path) -> int:
    """Write weight files and their index; returns the number of weight files.

    Raises:
        EOFError: a source file ends too early.
        OSError: a file cannot be read or written.
    """
    shards = _shards(tensors)
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _write_shard({name: tensors[name] for name in names}, folder / file)
        weight_map |= dict.fromkeys(names, file)
    total = sum(stored.size for stored in tensors.values())
    index: dict[str, Any] = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / INDEX_NAME).write_text(json.dumps(index, indent=2), "utf-8")
    return len(shards)


def _shards(tensors: Mapping[str, Stored]) -> list[list[str]]:
    """Names of the tensors of each file: consecutive tensors, as many as fit."""
    shards: list[list[str]] = [[]]
    size = 0
    for name, stored in tensors.items():
        if shards[-1] and size + stored.size > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += stored.size
    return shards


def _write_shard(tensors: Mapping[str, Stored], path: Path) -> None:
    """A safetensors file: the header's length, the header, and the values of each tensor."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, stored in tensors.items():
        offsets = [end, end + stored.size]
        header[name] = {"dtype": TYPES[stored.dtype], "shape": stored.shape, "data_offsets": offsets}
        end += stored.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, stored in tensors.items():
            values = stored.read()
            if tuple(values.shape) != stored.shape or values.dtype != stored.dtype:
                raise ValueError(f"{name} was read as {values.dtype} {tuple(values.shape)}")
            file.write(values.contiguous().reshape(-1).view(torch.uint8).numpy().data)
