"""Ctrl-C: the first interrupt lets the command shut down, the second ends the process at once."""

import os
import signal
from types import FrameType

INTERRUPTED = 130


def listen() -> None:
    """Handle SIGINT in this process; the second interrupt ends it without clean-up or output.

    A process that a shell started in the background ignores SIGINT, and continues to do so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _first)


def listen_to_terminate() -> None:
    """Treat SIGTERM, which schedulers send before they reclaim a machine, like Ctrl-C."""
    signal.signal(signal.SIGTERM, _first)


def _first(number: int, frame: FrameType | None) -> None:
    for handled in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(handled) is _first:
            signal.signal(handled, _second)
    raise KeyboardInterrupt


def _second(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
