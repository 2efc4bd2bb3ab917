"""Finds the tensors of a `torch.save` file inside a larger file, without loading them."""

import io
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile
from zlib import crc32

import torch

from evalsuite.errors import ModelError
from evalsuite.nemo.archive import ArchiveMember
from evalsuite.nemo.stored import Stored, read_bytes

LOCAL_HEADER = struct.Struct("<26xHH")
"""Header of a zip record: lengths of the name and of the extra field that follow it."""

FAKE_OFFSET = "_checkpoint_offset"
"""Attribute with the offset of a fake tensor's storage in its file (torch 2.7+, `torch.serialization`)."""


class Window(io.RawIOBase):
    """Part of a file, read as if it were a file."""

    def __init__(self, file: IO[bytes], offset: int, size: int) -> None:
        self._file, self._offset, self._size, self._at = file, offset, size, 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """As for any file."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        """As for any file."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As for any file."""
        count = min(len(buffer), max(0, self._size - self._at))
        self._file.seek(self._offset + self._at)
        got: int = self._file.readinto(memoryview(buffer)[:count])  # type: ignore[attr-defined]
        self._at += got
        return got


def tensors_in(path: Path, member: ArchiveMember, what: str) -> dict[str, Stored]:
    """Tensors of a state dict by name, not read yet; only the pickle and the zip's index are read.

    Loads with `weights_only`, so no code of the file runs. Whatever is not a tensor is left out, for example
    the kernel states that Transformer Engine keeps beside the weights as `io.BytesIO`.

    Args:
        path: the larger file.
        member: position of the `torch.save` file in it.
        what: name of the file in messages.

    Raises:
        ModelError: the file is damaged, or holds objects that `weights_only` does not allow.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    try:
        with path.open("rb") as file, FakeTensorMode(), torch.serialization.safe_globals([io.BytesIO]):
            window = io.BufferedReader(Window(file, member.offset, member.size))
            content = torch.load(window, weights_only=True, map_location="cpu")
            checksums = _checksums(window)
    except pickle.UnpicklingError as error:
        raise ModelError(f"The weights in {what} are refused or damaged: {_reason(error)}") from None
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, OSError, BadZipFile):
        raise ModelError(f"The weights in {what} are damaged (or of a PyTorch before 1.6).") from None
    if not isinstance(content, dict):
        raise ModelError(f"The weights in {what} are not a mapping of tensors.")
    return {
        str(name): _stored(path, member.offset, tensor, checksums, what)
        for name, tensor in content.items()
        if isinstance(tensor, torch.Tensor)
    }


def _reason(error: Exception) -> str:
    """The line of torch's long message that names the object that is not allowed."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next(
        (line for line in lines if "GLOBAL" in line or "Unsupported" in line), lines[0] if lines else ""
    )


def _checksums(file: IO[bytes]) -> dict[int, int]:
    """CRC-32 of every record of a `torch.save` file (a zip), by the offset of its data."""
    with ZipFile(file) as records:
        found = {}
        for record in records.infolist():
            file.seek(record.header_offset)
            header = file.read(LOCAL_HEADER.size)
            found[record.header_offset + LOCAL_HEADER.size + sum(LOCAL_HEADER.unpack(header))] = record.CRC
    return found


def _stored(path: Path, start: int, tensor: torch.Tensor, checksums: Mapping[int, int], what: str) -> Stored:
    storage: Any = tensor.untyped_storage()
    at = getattr(storage, FAKE_OFFSET, None)
    if at is None:
        raise ModelError("Reading a .nemo archive takes PyTorch 2.7 or later.")
    offset = start + at + tensor.storage_offset() * tensor.dtype.itemsize
    shape, stride, dtype = tuple(tensor.shape), tensor.stride(), tensor.dtype
    steps = [(length - 1) * step for length, step in zip(shape, stride, strict=True)]
    span = 1 + sum(steps) if tensor.numel() else 0
    expected = checksums.get(at) if span * dtype.itemsize == storage.nbytes() else None

    def read() -> torch.Tensor:
        values = read_bytes(path, offset, dtype, span)
        if expected is not None and crc32(values.view(torch.uint8).numpy().data) != expected:
            raise ModelError(f"The weights in {what} are damaged: get it again.")
        return values.as_strided(shape, stride).contiguous()

    return Stored(shape, dtype, read)
