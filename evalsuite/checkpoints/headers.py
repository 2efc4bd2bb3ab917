"""Headers of weight files: whether a file is complete, and what it says about the model.

Reads a few kilobytes (safetensors) or the header (GGUF), never the weights.
"""

import json
import math
import mmap
import struct
from pathlib import Path
from typing import Any

from evalsuite.errors import ModelError

GGUF_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""GGUF value type to its `struct` code (GGUF specification, version 3)."""
GGUF_STRING, GGUF_ARRAY = 8, 9
LONGEST_SAFETENSORS_HEADER = 100_000_000


def check_safetensors(path: Path) -> None:
    """Refuse a safetensors file whose size does not match its header.

    Raises:
        ModelError: unreadable, not safetensors, or truncated.
    """
    try:
        size = path.stat().st_size
        length, header = _safetensors_header(path)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except OSError as error:
        raise ModelError(f"Weight file {path} cannot be read: {error.strerror}.") from None
    except (ValueError, struct.error, KeyError, TypeError, AttributeError):
        raise ModelError(f"Weight file {path} is not a readable safetensors file: get it again.") from None
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        raise ModelError(f"Weight file {path} has {size} bytes instead of {expected}: get it again.")


def _safetensors_header(path: Path) -> tuple[int, dict[str, Any]]:
    """The header's length in bytes, and its content."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > min(path.stat().st_size, LONGEST_SAFETENSORS_HEADER):
            raise ValueError("its header is longer than the file")
        return length, json.loads(file.read(length))


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor of a safetensors file that was checked, by name."""
    _, header = _safetensors_header(path)
    return {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}


def count_parameters(path: Path) -> int | None:
    """Number of parameters in a weight file that was checked; None if its header does not tell."""
    if path.suffix == ".safetensors":
        return sum(map(math.prod, tensor_shapes(path).values()))
    if path.suffix == ".gguf":
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _GgufCursor(data).parameters()
    return None


def read_gguf_header(path: Path) -> dict[str, Any]:
    """Scalar and string metadata of a GGUF file; an array is represented by its length.

    Raises:
        ModelError: unreadable, not GGUF, or truncated before its last tensor.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] != b"GGUF":
                raise ValueError("no magic number")
            return _GgufCursor(data).metadata()
    except OSError as error:
        raise ModelError(f"Model file {path} cannot be read: {error.strerror}.") from None
    except (ValueError, struct.error, KeyError, IndexError):
        raise ModelError(f"Model file {path} is not a whole GGUF file: get it again.") from None


class _GgufCursor:
    """Reads the header of a memory-mapped GGUF file from front to back."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 4

    def metadata(self) -> dict[str, Any]:
        version, tensors, pairs = self.scalar("I"), self.scalar("Q"), self.scalar("Q")
        if version not in (2, 3):
            raise ValueError(f"version {version}")
        metadata = {self.string(): self.value(self.scalar("I")) for _ in range(pairs)}
        last_offset = max((self.tensor()[1] for _ in range(tensors)), default=0)
        if tensors and self.at + last_offset >= len(self.data):
            raise ValueError("cut off")
        return metadata

    def parameters(self) -> int:
        _, tensors, pairs = self.scalar("I"), self.scalar("Q"), self.scalar("Q")
        for _ in range(pairs):
            self.string()
            self.value(self.scalar("I"))
        return sum(self.tensor()[0] for _ in range(tensors))

    def scalar(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def string(self) -> str:
        length = self.scalar("Q")
        if self.at + length > len(self.data):
            raise ValueError("cut off")
        self.at += length
        return self.data[self.at - length : self.at].decode("utf-8", errors="replace")

    def value(self, kind: int) -> Any:
        if kind == GGUF_STRING:
            return self.string()
        return self.array_length() if kind == GGUF_ARRAY else self.scalar(GGUF_SCALARS[kind])

    def array_length(self) -> int:
        """Skip an array; tokens and merges are most of a header, and nothing here needs them."""
        kind: int = self.scalar("I")
        count: int = self.scalar("Q")
        if kind in GGUF_SCALARS:
            self.at += count * struct.calcsize("<" + GGUF_SCALARS[kind])
        elif kind == GGUF_STRING:
            for _ in range(count):
                self.at += 8 + struct.unpack_from("<Q", self.data, self.at)[0]
        else:
            for _ in range(count):
                self.array_length()
        return count

    def tensor(self) -> tuple[int, int]:
        """Skip a tensor's entry; its number of parameters and their offset in the data section."""
        self.string()
        numbers = math.prod(self.scalar("Q") for _ in range(self.scalar("I")))
        self.scalar("I")
        return numbers, self.scalar("Q")
