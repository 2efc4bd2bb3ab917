"""How the end of a script is told: an outcome, and a line for people."""

import os
import traceback
from typing import Any

from evalsuite.sandbox.program import ProgramOutcome

TESTS = "<tests>"
"""File name of the compiled tests, by which their lines are found in a traceback."""
_LONGEST = 500


def report(error: BaseException | None, tests: str) -> dict[str, Any]:
    """Of tests that ended by `error`, or without one."""
    if error is None:
        return {"outcome": ProgramOutcome.PASSED.value, "detail": ""}
    if isinstance(error, MemoryError):
        return {"outcome": ProgramOutcome.MEMORY.value, "detail": "MemoryError"}
    if isinstance(error, SystemExit):
        return {"outcome": ProgramOutcome.EXITED.value, "detail": "SystemExit"}
    name, text = getattr(error, "told", (type(error).__name__, _text(error)))
    if isinstance(error, AssertionError):
        outcome, text = ProgramOutcome.FAILED, text or _line(error, tests)
    else:
        outcome = ProgramOutcome.ERROR
    return {"outcome": outcome.value, "detail": one_line(f"{name}: {text}" if text else name)}


def one_line(text: str) -> str:
    """Short, and without line breaks or half characters."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def ended(status: int) -> tuple[ProgramOutcome, str]:
    """What the wait status of a process that ended before its time says."""
    if os.WIFEXITED(status):
        return ProgramOutcome.EXITED, f"it ended the process with code {os.WEXITSTATUS(status)}"
    signal = os.WTERMSIG(status)
    if signal == 31:
        return ProgramOutcome.VIOLATION, "a system call that no program here may use"
    if signal == 9:
        return ProgramOutcome.MEMORY, "the kernel killed it: out of memory"
    return ProgramOutcome.ERROR, f"the interpreter crashed with signal {signal}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:
        return ""


def _line(error: BaseException, tests: str) -> str:
    """The line of the tests that `error` passed last."""
    numbers = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == TESTS]
    lines = tests.splitlines()
    return lines[numbers[-1] - 1].strip() if numbers and numbers[-1] and numbers[-1] <= len(lines) else ""
