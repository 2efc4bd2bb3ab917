"""Reports how a script ended: an outcome, and a line for people."""

import os
import traceback
from typing import Any

from evalsuite.sandbox.program import ProgramOutcome

TESTS = "<tests>"
"""File name of the compiled tests, which identifies their lines in a traceback."""
_LONGEST = 500


def outcome_report(error: BaseException | None, tests: str) -> dict[str, Any]:
    """The report of tests that ended with `error`, or without one."""
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
    """The text on one short line, without lone surrogates."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def ended(status: int) -> tuple[ProgramOutcome, str]:
    """The outcome of a process that ended early, from its wait status."""
    if os.WIFEXITED(status):
        return ProgramOutcome.EXITED, f"it ended the process with code {os.WEXITSTATUS(status)}"
    signal = os.WTERMSIG(status)
    if signal == 31:
        return ProgramOutcome.VIOLATION, "a forbidden system call"
    if signal == 9:
        return ProgramOutcome.MEMORY, "the kernel killed it: out of memory"
    return ProgramOutcome.ERROR, f"the interpreter crashed with signal {signal}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:
        return ""


def _line(error: BaseException, tests: str) -> str:
    """The last line of the tests in the traceback of `error`."""
    numbers = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == TESTS]
    lines = tests.splitlines()
    return lines[numbers[-1] - 1].strip() if numbers and numbers[-1] and numbers[-1] <= len(lines) else ""
