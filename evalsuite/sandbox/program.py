"""What goes into the sandbox and what comes out: programs, verdicts, tiers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from evalsuite.errors import UserError

Mode = Literal["auto", "compare", "token"]


class ProgramOutcome(StrEnum):
    """How a program ended. Only `passed` is a right answer; each of the others is a wrong one."""

    PASSED = "passed"
    FAILED = "failed"
    """An assertion of the tests did not hold."""
    ERROR = "error"
    """An exception, or a crash of the interpreter."""
    TIMEOUT = "timeout"
    """More CPU time than its limit, or it slept."""
    MEMORY = "memory"
    EXITED = "exited"
    """It ended the process before its tests had run."""
    VIOLATION = "violation"
    """It asked the kernel for something that no answer to a problem needs, or forged its verdict."""


@dataclass(frozen=True, slots=True)
class Program:
    """Model-written code and the tests that judge it."""

    code: str
    """The candidate. It runs as a module of its own, and not as `__main__`."""
    tests: str
    """A script that runs against the candidate's top-level names. A name that the tests define themselves,
    and every builtin but the entry point, is theirs; any other comes from the candidate."""
    mode: Mode = "auto"
    """`compare`: the tests run in another process than the candidate and see its values as plain data.
    `token`: both in one process. `auto`: compare, unless what the tests do with the candidate cannot cross
    processes."""
    cpu_seconds: float = 3.0
    """CPU time that the candidate's process may use; see `evalsuite.sandbox.limits`."""
    memory_mb: int = 1024
    """Address space beyond that of an idle interpreter, in MiB."""
    entry_point: str = ""
    """The function that the tests call, where that is known: the one name of a builtin that may be the
    candidate's."""
    keeps: str = ""
    """A variable of the tests, with text, that the verdict hands back in mode `compare` where the program
    passes."""


@dataclass(frozen=True, slots=True)
class ProgramVerdict:
    """How a program ended, and who decided."""

    outcome: ProgramOutcome
    detail: str = ""
    """One line for people: the failed assertion, or the exception with its message."""
    mode: str = "compare"
    cpu_seconds: float = 0.0
    """CPU time of the candidate's process: with its tests in mode `token`, without them in `compare`."""
    kept: str = ""
    """What the tests' variable `keeps` holds; empty where there is none, or other than text."""

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.outcome is ProgramOutcome.PASSED


class SandboxFailed(Exception):
    """A program that got no verdict, through no fault of its own. Counted, never scored."""


class Inseparable(SandboxFailed):
    """Tests that hand over what cannot leave their process, in mode `compare`."""


class TooSlow(SandboxFailed):
    """A reference solution that needs more time than any may have."""


class SandboxUnavailable(UserError):
    """No tier of the sandbox works on this machine; the message says what to enable."""


@dataclass(frozen=True, slots=True)
class SandboxTier:
    """How strongly programs are confined here, and what showed it."""

    name: str
    """`namespaces`, `bubblewrap` or `rlimits`."""
    proofs: tuple[str, ...]
    """What was tried by hostile programs when the sandbox opened, and did not succeed."""
    note: str = ""
    """The layers in force, and those that this kernel lacks."""
