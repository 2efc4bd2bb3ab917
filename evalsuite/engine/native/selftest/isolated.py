"""Runs the self-test's checks in another process, and the rest of them in a new one where that is lost.

After an illegal memory access every further call of CUDA fails in that process; a kernel may also end its
process, or never end. One such check costs its own row, and the time to start a process again.
"""

import faulthandler
import multiprocessing
from collections.abc import Callable, Generator, Iterator
from multiprocessing.connection import Connection
from typing import Any

import torch

from evalsuite.engine.native.selftest.checks import PathCheck, PlannedChecks

SECONDS = 180.0
"""The longest time for a check, its compilation included, or for the start of a process."""
SECONDS_TO_END = 10.0
"""The longest wait for a process that was killed: one in the middle of a GPU's work may take its time."""
MOST_LOST = 8
"""Processes that may be lost before the remaining checks are given up."""
ITSELF = "self-test"
"""The part of a row about the process that runs the checks."""
BEGINS, ENDS, FINISHED = "begins", "ends", "finished"
"""What the process says of a check, and at the end."""
ENDED = "ended"
"""The process is no longer there."""

Names = set[tuple[str, str, str]]
Plan = Callable[..., PlannedChecks]
"""Plans all checks; a function of a module, since another process calls it."""


def isolated(plan: Plan, arguments: tuple[Any, ...], seconds: float = SECONDS) -> Iterator[PathCheck]:
    """Run the checks of `plan(*arguments)`; yields a row as soon as it is known.

    Args:
        plan: plans the checks.
        arguments: its arguments; the first one is the device.
        seconds: the longest time for a check.
    """
    done: Names = set()
    for _ in range(MOST_LOST):
        if (yield from _in_a_process(plan, arguments, done, seconds)):
            return
    yield _failed(None, f"the remaining checks were not run, since {MOST_LOST} processes were lost")


def _in_a_process(
    plan: Plan, arguments: tuple[Any, ...], done: Names, seconds: float
) -> Generator[PathCheck, None, bool]:
    """Yield rows of checks that are not `done`, and add their names; returns whether all is over."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    # No daemon, which may have no children: torch's compiler may want some.
    process = context.Process(target=_run, args=(there, plan, arguments, frozenset(done)))
    process.start()
    there.close()
    running: PathCheck | None = None
    answered = False
    try:
        while True:
            message, row = _received(here, seconds)
            if message == FINISHED:
                return True
            if message not in (BEGINS, ENDS):
                break
            running = row if message == BEGINS else None
            if message == ENDS:
                answered = True
                done.add(row.name)
                yield row
        if answered and not running:
            return False  # it ended by itself after an error
        if message == ENDED:
            process.join()
            message = f"its process ended with exit code {process.exitcode}"  # -11 if by signal 11
        lost = _failed(running, message)
        done.add(lost.name)
        yield lost
        return not running
    finally:
        here.close()
        process.kill()
        process.join(SECONDS_TO_END)


def _received(here: Connection, seconds: float) -> tuple[str, Any]:
    """The next message with its row; without a row if there is none."""
    if not here.poll(seconds):
        return f"no answer within {seconds:.0f} s", None
    try:
        received: tuple[str, Any] = here.recv()
    except (EOFError, ConnectionResetError):
        return ENDED, None
    return received


def _failed(running: PathCheck | None, problem: str) -> PathCheck:
    """The row of the check that was running, or of the process itself if none was."""
    name = running.name if running else (ITSELF, "", "")
    return PathCheck(*name, problem=problem, failed=True)


def _run(there: Connection, plan: Plan, arguments: tuple[Any, ...], done: frozenset[Any]) -> None:
    """In the other process: a message before each check and one after it.

    Ends without `FINISHED` after an error that leaves the device unusable.
    """
    faulthandler.enable()
    device = str(arguments[0])
    for planned in plan(*arguments):
        if planned.row.name in done:
            continue
        there.send((BEGINS, planned.row))
        row = planned.run()
        there.send((ENDS, row))
        if row.failed and not _is_usable(device):
            return
    there.send((FINISHED, None))


def _is_usable(device: str) -> bool:
    """Whether a device still computes, after an error."""
    try:
        return bool(torch.ones(2, device=device).sum().item() == 2)
    except Exception:  # Boundary: the driver's errors are of several kinds.
        return False
