"""Ctrl-C: the first interrupt lets the verb end in order, the second ends the process at once."""

import os
import signal
from types import FrameType

INTERRUPTED = 130


def listen() -> None:
    """Handle SIGINT in this process; from the second interrupt on nothing is cleaned up, and nothing is
    printed.

    Where a shell started the process in the background, the signal is ignored and stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _first)


def listen_to_terminate() -> None:
    """SIGTERM is an interrupt, too: a scheduler that takes the machine back asks as politely as Ctrl-C
    does."""
    signal.signal(signal.SIGTERM, _first)


def _first(number: int, frame: FrameType | None) -> None:
    for one in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(one) is _first:
            signal.signal(one, _second)
    raise KeyboardInterrupt


def _second(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
