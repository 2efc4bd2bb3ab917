"""The self-test: hostile programs that a sandbox must block before it runs others."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalsuite.sandbox.program import Program, ProgramOutcome


@dataclass(frozen=True, slots=True)
class Proof:
    """A program with its required outcome."""

    what: str
    """What the program proves, in a few words."""
    program: Program
    outcomes: tuple[ProgramOutcome, ...] = (ProgramOutcome.PASSED,)


def hostile(folder: str) -> Iterator[Proof]:
    """The self-test's programs; they must not reach `folder`, which belongs to the caller."""
    secret = Path(folder, "secret")
    secret.touch()
    yield Proof("a right answer passes", _program("def attempt(): return 4", "assert attempt() == 4"))
    yield Proof(
        "a wrong one does not",
        _program("def attempt(): return 5", "assert attempt() == 4"),
        (ProgramOutcome.FAILED,),
    )
    yield Proof(
        "an early end does not pass",
        _program("import os\ndef attempt(): os._exit(0)", "assert attempt() == 4"),
        (ProgramOutcome.EXITED,),
    )
    yield Proof(
        "an object that equals everything does not pass",
        _program(
            "class Any(int):\n def __eq__(self, other): return True\ndef attempt(): return Any()",
            "assert attempt() == 4",
        ),
        (ProgramOutcome.FAILED,),
    )
    yield _refused("files cannot be read", f"open({str(secret)!r}).read()")
    yield _refused("files cannot be written", f"open({str(secret.with_name('written'))!r}, 'w').write('x')")
    yield _refused("the network is closed", "__import__('socket').create_connection(('127.0.0.1', 1), 1)")
    yield _refused("no process can be started", "__import__('os').fork()")
    yield _refused("no other process can be signalled", f"__import__('os').kill({os.getpid()}, 0)")
    yield Proof(
        "no process can be traced",
        _program("import ctypes\ndef attempt(): return ctypes.CDLL(None).ptrace(0, 0, 0, 0)", "attempt()"),
        (ProgramOutcome.VIOLATION,),
    )
    yield Proof(
        "memory is bounded",
        _program("def attempt(): return len(bytearray(1 << 32))", "assert attempt()"),
        (ProgramOutcome.MEMORY,),
    )
    yield Proof(
        "time is bounded",
        _program("def attempt():\n while True: pass", "attempt()", cpu_seconds=0.1),
        (ProgramOutcome.TIMEOUT,),
    )


def libraries_program(libraries: Sequence[str]) -> Program:
    """A program that fails, and names them, if it cannot read some of the libraries."""
    code = (
        "from importlib.util import find_spec\n"
        "def readable(name):\n"
        "    try:\n        open(find_spec(name).origin).close()\n"
        "    except (AttributeError, TypeError, OSError):\n        return False\n"
        "    return True\n"
        "def attempt(names): return ', '.join(name for name in names if not readable(name))\n"
    )
    return _program(code, f"lacking = attempt({list(libraries)})\nassert not lacking, lacking")


def _refused(what: str, expression: str) -> Proof:
    code = (
        "def attempt():\n"
        f"    try:\n        {expression}\n"
        "    except (PermissionError, FileNotFoundError, ProcessLookupError):\n"
        "        return 'refused'\n"
    )
    return Proof(what, _program(code, "assert attempt() == 'refused'"))


def _program(code: str, tests: str, cpu_seconds: float = 2.0) -> Program:
    return Program(code, tests, mode="compare", cpu_seconds=cpu_seconds, memory_mb=256)
