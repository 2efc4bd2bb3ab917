"""Standard output and error that no run ends at: closed ones, broken pipes, encodings that lack a sign.

Public name: `prepare_streams`.
"""

import codecs
import errno
import io
import os
import sys
from typing import TextIO

from evalsuite.errors import StorageError

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
"""What our own signs become where an encoding lacks them, so that they can be told apart; others become
`?`."""


def prepare_streams() -> None:
    """Make standard output and error fit for a whole run; to be called once, at the start of the process."""
    codecs.register_error("evalsuite", _substitute)
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)  # else a closed stream's number would become that of the next file
    os.close(opened)
    if sys.stdout is sys.__stdout__:  # else somebody else's, as in a test
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
    """Writes to a file descriptor until nobody reads it any more, and from then on to nowhere."""

    def __init__(self, number: int, named: str) -> None:
        self._number = number
        self._named = named
        """In the sentence for what a disk refuses; nothing is said of it where this is empty."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, data) -> int:  # type: ignore[no-untyped-def]  # noqa: ANN001
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
            return len(data)
