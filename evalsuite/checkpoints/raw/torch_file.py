"""Reads what `torch.save` wrote, without its tensors: they are found in the file, and read one at a time."""

import io
import pickle
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any
from zipfile import BadZipFile, ZipFile
from zlib import crc32

import torch

from evalsuite.checkpoints.raw.stored import FilePart, Stored, read_bytes
from evalsuite.errors import ModelError

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


Allowed = Callable[..., Any] | tuple[Callable[..., Any], str]
"""A class that a pickle may name, by itself or in place of the class with the given full name."""


@dataclass(frozen=True, slots=True)
class TorchFile:
    """The content of a `torch.save` file; its tensors have shapes and no values."""

    content: Any
    _part: FilePart
    _checksums: Mapping[int, int]
    _what: str

    def stored(self, tensor: torch.Tensor) -> Stored:
        """Where one of the tensors of `content` is; raises ModelError if this PyTorch cannot tell."""
        return _stored(self._part, tensor, self._checksums, self._what)


def read_torch_file(part: FilePart, what: str, allowed: Sequence[Allowed] = ()) -> TorchFile:
    """Read the pickle and the zip's index of a `torch.save` file, and no tensor.

    Loads with `weights_only`, so no code of the file runs.

    Args:
        part: the file.
        what: name of the file in messages, for example "weights in model.ckpt".
        allowed: classes that the pickle may name beside those that PyTorch allows.

    Raises:
        ModelError: the file is damaged, or holds objects that are not allowed.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    try:
        with part.path.open("rb") as file, FakeTensorMode(), torch.serialization.safe_globals(list(allowed)):
            window = io.BufferedReader(Window(file, part.offset, part.size))
            content = torch.load(window, weights_only=True, map_location="cpu")
            checksums = _checksums(window)
    except pickle.UnpicklingError as error:
        raise ModelError(f"The {what} are refused or damaged: {_reason(error)}") from None
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, OSError, BadZipFile):
        raise ModelError(f"The {what} are damaged (or of a PyTorch before 1.6).") from None
    return TorchFile(content, part, checksums, what)


def tensors_in(part: FilePart, what: str) -> dict[str, Stored]:
    """Tensors of a state dict by name, not read yet.

    Whatever is not a tensor is left out, for example the kernel states that Transformer Engine keeps beside
    the weights as `io.BytesIO`. Arguments and errors as for `read_torch_file`.
    """
    file = read_torch_file(part, what, [io.BytesIO])
    if not isinstance(file.content, dict):
        raise ModelError(f"The {what} are not a mapping of tensors.")
    return {
        str(name): file.stored(tensor)
        for name, tensor in file.content.items()
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
            if not record.CRC:  # as torch.serialization.set_crc32_options(False) stores it
                continue
            file.seek(record.header_offset)
            header = file.read(LOCAL_HEADER.size)
            found[record.header_offset + LOCAL_HEADER.size + sum(LOCAL_HEADER.unpack(header))] = record.CRC
    return found


def _stored(part: FilePart, tensor: torch.Tensor, checksums: Mapping[int, int], what: str) -> Stored:
    storage: Any = tensor.untyped_storage()
    at = getattr(storage, FAKE_OFFSET, None)
    if at is None:
        raise ModelError("Reading the tensors of a checkpoint one at a time takes PyTorch 2.7 or later.")
    offset = part.offset + at + tensor.storage_offset() * tensor.dtype.itemsize
    shape, stride, dtype = tuple(tensor.shape), tensor.stride(), tensor.dtype
    steps = [(length - 1) * step for length, step in zip(shape, stride, strict=True)]
    span = 1 + sum(steps) if tensor.numel() else 0
    expected = checksums.get(at) if span * dtype.itemsize == storage.nbytes() else None

    def read() -> torch.Tensor:
        values = read_bytes(part.path, offset, dtype, span)
        if expected is not None and crc32(values.view(torch.uint8).numpy().data) != expected:
            raise ModelError(f"The {what} are damaged: get them again.")
        return values.as_strided(shape, stride).contiguous()

    return Stored(shape, dtype, read)
