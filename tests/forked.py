"""Processes that are forked from one that has imported torch, and that find each other at a free port."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def held_port() -> Iterator[int]:
    """A port that nobody else gets before the first of the processes takes it."""
    with socket.socket() as kept:  # never listens
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("localhost", 0))
        yield kept.getsockname()[1]


def exit_codes(start: Callable[[int, int], int], seconds: float) -> list[int | None]:
    """The exit code of each of two ranks; None for a rank that had to be killed.

    Args:
        start: forks the process of a rank, given rank and port, and returns its number.
        seconds: after which processes are killed.
    """
    codes: list[int | None] = [None, None]
    with held_port() as port:
        waiting = {start(rank, port): rank for rank in range(2)}
        limit = time.monotonic() + seconds
        while waiting and time.monotonic() < limit:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended:
                codes[waiting.pop(ended)] = os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        for process in waiting:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
    return codes
