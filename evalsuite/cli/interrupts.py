"""Ctrl-C: the first interrupt lets the command shut down, the second ends the process at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

Handler = Callable[[int, FrameType | None], None]
INTERRUPTED = 130
AGAIN_SECONDS = 0.05
"""Time after which an interrupt that Python dropped comes again."""
_HANDLED = (signal.SIGINT, signal.SIGTERM)


def listen() -> None:
    """Handle SIGINT in this process; the second interrupt ends it without clean-up or output.

    A process that a shell started in the background ignores SIGINT, and continues to do so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _first)
    sys.unraisablehook = _interrupt_again


def listen_to_terminate() -> None:
    """Treat SIGTERM, which schedulers send before they reclaim a machine, like Ctrl-C."""
    signal.signal(signal.SIGTERM, _first)


def _first(number: int, frame: FrameType | None) -> None:
    _replace(_first, _second)
    raise KeyboardInterrupt


def _second(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


def _replace(handler: Handler, by: Handler) -> signal.Signals | None:
    """Exchange the handler of each signal that has `handler`; returns one of these signals."""
    found = [number for number in _HANDLED if signal.getsignal(number) is handler]
    for number in found:
        signal.signal(number, by)
    return next(iter(found), None)


def _interrupt_again(dropped: "sys.UnraisableHookArgs") -> None:
    """Repeat an interrupt that came inside a callback or destructor, where Python ignores exceptions."""
    number = _replace(_second, _first) if dropped.exc_type is KeyboardInterrupt else None
    if number is None:
        sys.__unraisablehook__(dropped)
    else:
        threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()
