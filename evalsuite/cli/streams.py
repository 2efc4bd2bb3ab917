"""Standard output and error that survive closed streams, broken pipes and encodings that lack a character.

Public name: `prepare_streams`.
"""

import codecs
import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

from evalsuite.errors import StorageError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_SUBSTITUTES = {
    "✓": "+",
    "–": "-",
    "✗": "x",
    "—": "-",
    "−": "-",
    "…": "...",
    "→": ">",
    "⏎": "\\n",
    "␍": "\\r",
    "⍽": "_",
}
"""Distinct replacements for our own characters if the encoding lacks them; all others become `?`."""


def prepare_streams() -> None:
    """Replace standard output and error by streams that never fail a run; call once at process start."""
    codecs.register_error("evalsuite", _substitute)
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)  # else the next opened file would get a closed stream's descriptor
    os.close(opened)
    if sys.stdout is sys.__stdout__:  # else a test or another program replaced it
        sys.stdout = _lasting(sys.stdout, 1, "standard output")
    if sys.stderr is sys.__stderr__:
        sys.stderr = _lasting(sys.stderr, 2, "")


def _lasting(stream: TextIO | None, number: int, named: str) -> TextIO:
    if stream is not None:
        stream.flush()
    raw = _Lasting(number, named)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors="evalsuite",
        line_buffering=raw.isatty() or number == 2,
    )


def _substitute(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end]
    return "".join(_SUBSTITUTES.get(sign, "?") for sign in signs), error.end


class _Lasting(io.RawIOBase):
    """Writes to a file descriptor; after the first failure, discards what it gets."""

    def __init__(self, number: int, named: str) -> None:
        self._number = number
        self._named = named
        """Name for the error that reports a failed write; if it is empty, no error is raised."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, data: "ReadableBuffer") -> int:
        try:
            return os.write(self._number, data)
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._number)
            os.close(nowhere)
            if self._named and error.errno not in (errno.EPIPE, errno.EIO, errno.EBADF):
                raise StorageError(
                    f"{self._named.capitalize()} cannot be written: {error.strerror}."
                ) from None
            return memoryview(data).nbytes
