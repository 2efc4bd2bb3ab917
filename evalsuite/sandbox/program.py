"""The types of the sandbox's interface: programs, verdicts, tiers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from evalsuite.errors import UserError

Mode = Literal["auto", "compare", "token"]


class ProgramOutcome(StrEnum):
    """How a program ended. Only `passed` is a correct answer."""

    PASSED = "passed"
    FAILED = "failed"
    """An assertion of the tests failed."""
    ERROR = "error"
    """An exception, or a crash of the interpreter."""
    TIMEOUT = "timeout"
    """It exceeded its limit of CPU time, or slept."""
    MEMORY = "memory"
    EXITED = "exited"
    """It ended the process before its tests finished."""
    VIOLATION = "violation"
    """It used a system call that no solution needs, or forged its verdict."""


@dataclass(frozen=True, slots=True)
class Program:
    """Model-written code and its tests."""

    code: str
    """The candidate's code, which runs as a separate module, not as `__main__`."""
    tests: str
    """A script that runs with the candidate's top-level names.

    Names that the tests define, and all builtins except the entry point, are the tests' own; all others come
    from the candidate.
    """
    mode: Mode = "auto"
    """compare: the tests run in another process and see the candidate's values as plain data.

    token: both run in one process. auto: compare, unless the tests need values that cannot cross processes.
    """
    cpu_seconds: float = 3.0
    """CPU limit of the candidate's process; see `evalsuite.sandbox.limits`."""
    memory_mb: int = 1024
    """Address space in MiB, in addition to that of an idle interpreter."""
    entry_point: str = ""
    """The function that the tests call, if known; the only builtin's name that can be the candidate's."""
    keeps: str = ""
    """Variable of the tests whose text the verdict returns, in mode `compare`, if the program passes."""


@dataclass(frozen=True, slots=True)
class ProgramVerdict:
    """How a program ended."""

    outcome: ProgramOutcome
    detail: str = ""
    """One line for people: the failed assertion, or the exception with its message."""
    mode: str = "compare"
    cpu_seconds: float = 0.0
    """CPU time of the candidate's process, which includes the tests in mode `token`, but not in `compare`."""
    kept: str = ""
    """Text of the tests' variable `keeps`; empty if there is none, or it is not text."""

    @property
    def passed(self) -> bool:
        """Whether the program is correct."""
        return self.outcome is ProgramOutcome.PASSED


class SandboxFailed(Exception):
    """A program without a verdict that is not at fault. It is counted, never scored."""


class Inseparable(SandboxFailed):
    """Tests in mode `compare` that pass a value which cannot leave their process."""


class TooSlow(SandboxFailed):
    """A reference solution that exceeds the time limit of references."""


class SandboxUnavailable(UserError):
    """No tier of the sandbox works on this machine; the message says what to enable."""


@dataclass(frozen=True, slots=True)
class SandboxTier:
    """The level of confinement, with the result of its self-test."""

    name: str
    """`namespaces`, `bubblewrap` or `rlimits`."""
    proofs: tuple[str, ...]
    """The self-test attacks that were blocked when the sandbox was opened."""
    note: str = ""
    """The active layers, and those that this kernel lacks."""
