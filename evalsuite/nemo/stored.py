"""Tensors that are described before they are read, so that one at a time is in memory."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor on disk."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], torch.Tensor]
    """Reads it, anew with every call."""

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_bytes(path: Path, offset: int, dtype: torch.dtype, count: int) -> torch.Tensor:
    """`count` numbers that stand one after the other in a file.

    Raises:
        EOFError: the file ends before them.
    """
    values = torch.empty(count, dtype=dtype)
    buffer = values.view(torch.uint8).numpy().data
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while buffer:
            got = file.readinto(buffer)
            if not got:
                raise EOFError
            buffer = buffer[got:]
    return values


def joined(parts: Sequence[Stored], axis: int) -> Stored:
    """One tensor from its slices along an axis."""
    if len(parts) == 1:
        return parts[0]
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)

    def read() -> torch.Tensor:
        whole = torch.empty(shape, dtype=parts[0].dtype)
        start = 0
        for part in parts:
            whole.narrow(axis, start, part.shape[axis]).copy_(part.read())
            start += part.shape[axis]
        return whole

    return Stored(tuple(shape), parts[0].dtype, read)


@dataclass(frozen=True, slots=True)
class Block:
    """A box of a larger tensor."""

    offsets: tuple[int, ...]
    stored: Stored


def entry_of(blocks: Sequence[Block], shape: tuple[int, ...], dtype: torch.dtype, index: int) -> Stored:
    """Entry `index` along the first axis of a tensor of `shape` that is stored in boxes."""
    mine = [one for one in blocks if one.offsets[0] <= index < one.offsets[0] + one.stored.shape[0]]

    def read() -> torch.Tensor:
        entry = torch.empty(shape[1:], dtype=dtype)
        for block in mine:
            box = block.stored.read()[index - block.offsets[0]]
            _place(entry, box, block.offsets[1:])
        return entry

    return Stored(shape[1:], dtype, read)


def whole_of(blocks: Sequence[Block], shape: tuple[int, ...], dtype: torch.dtype) -> Stored:
    """A tensor of `shape` from its boxes; what they have beyond it is padding."""

    def read() -> torch.Tensor:
        whole = torch.empty(shape, dtype=dtype)
        for block in blocks:
            _place(whole, block.stored.read(), block.offsets)
        return whole

    return Stored(shape, dtype, read)


def _place(target: torch.Tensor, box: torch.Tensor, offsets: tuple[int, ...]) -> None:
    room = tuple(
        slice(at, min(at + length, end))
        for at, length, end in zip(offsets, box.shape, target.shape, strict=True)
    )
    target[room] = box[tuple(slice(0, one.stop - one.start) for one in room)]
