"""Tensors on disk that are read one at a time, to keep memory low."""

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
    """Reads the tensor from disk, at each call."""

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_bytes(path: Path, offset: int, dtype: torch.dtype, count: int) -> torch.Tensor:
    """Reads `count` consecutive values from a file.

    Raises:
        EOFError: the file ends before the last value.
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
    """Joins slices along an axis to one tensor."""
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


def joined_in_sections(parts: Sequence[Stored], axis: int, sizes: Sequence[int]) -> Stored:
    """Joins parts of which each holds a share of several sections, section by section.

    Args:
        parts: of one shape.
        axis: the one along which they are joined.
        sizes: of each section in every part; they add up to a part.
    """
    shape = list(parts[0].shape)
    shape[axis] *= len(parts)

    def read() -> torch.Tensor:
        whole = torch.empty(shape, dtype=parts[0].dtype)
        for number, part in enumerate(parts):
            start = 0
            for size, section in zip(sizes, part.read().split(list(sizes), axis), strict=True):
                whole.narrow(axis, start + number * size, size).copy_(section)
                start += len(parts) * size
        return whole

    return Stored(tuple(shape), parts[0].dtype, read)


def row_range(stored: Stored, start: int, count: int) -> Stored:
    """Rows of a tensor: entries `start` to `start + count` along its first axis."""
    return Stored((count, *stored.shape[1:]), stored.dtype, lambda: stored.read()[start : start + count])


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file, or a file within a larger one such as an archive."""

    path: Path
    offset: int
    """Bytes from the start of the larger file."""
    size: int
    """Bytes."""

    def bytes(self) -> bytes:
        """All of it; raises OSError, or EOFError if the larger file is cut off."""
        return self.part(0, self.size).numpy().tobytes()

    def part(self, start: int, size: int) -> torch.Tensor:
        """Bytes (size,) from `start` on; errors as in `bytes`."""
        return read_bytes(self.path, self.offset + start, torch.uint8, size)

    @staticmethod
    def whole(path: Path) -> "FilePart":
        """A file by itself; raises OSError."""
        return FilePart(path, 0, path.stat().st_size)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a larger tensor; its shape may extend beyond that tensor as padding."""

    offsets: tuple[int, ...]
    stored: Stored


def entry_of(blocks: Sequence[Block], shape: tuple[int, ...], dtype: torch.dtype, index: int) -> Stored:
    """Entry `index` along the first axis of a tensor of `shape` that is stored in blocks."""
    holding = [block for block in blocks if 0 <= index - block.offsets[0] < block.stored.shape[0]]

    def read() -> torch.Tensor:
        entry = torch.empty(shape[1:], dtype=dtype)
        for block in holding:
            values = block.stored.read()[index - block.offsets[0]]
            _copy_into(entry, values, block.offsets[1:])
        return entry

    return Stored(shape[1:], dtype, read)


def whole_of(blocks: Sequence[Block], shape: tuple[int, ...], dtype: torch.dtype) -> Stored:
    """A tensor of `shape` from its blocks; what extends beyond the shape is padding."""
    if len(blocks) == 1 and blocks[0].stored.shape == shape:
        return blocks[0].stored

    def read() -> torch.Tensor:
        whole = torch.empty(shape, dtype=dtype)
        for block in blocks:
            _copy_into(whole, block.stored.read(), block.offsets)
        return whole

    return Stored(shape, dtype, read)


def _copy_into(target: torch.Tensor, block: torch.Tensor, offsets: tuple[int, ...]) -> None:
    region = tuple(
        slice(start, min(start + length, end))
        for start, length, end in zip(offsets, block.shape, target.shape, strict=True)
    )
    target[region] = block[tuple(slice(0, part.stop - part.start) for part in region)]


@dataclass(frozen=True, slots=True)
class BlockedTensor:
    """A tensor that is stored in blocks."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    blocks: Sequence[Block]

    @property
    def stored(self) -> Stored:
        """The whole tensor."""
        return whole_of(self.blocks, self.shape, self.dtype)

    @property
    def entries(self) -> list[Stored]:
        """Its entries along the first axis, for example the layers of a stacked tensor."""
        return [entry_of(self.blocks, self.shape, self.dtype, index) for index in range(self.shape[0])]
