"""Runs model-written Python against its tests, so that the program itself cannot decide the verdict."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalsuite.sandbox.limits import program_cpu_limit
    from evalsuite.sandbox.pool import Sandbox, open_sandbox, with_limit
    from evalsuite.sandbox.program import (
        Inseparable,
        Program,
        ProgramOutcome,
        ProgramVerdict,
        SandboxFailed,
        SandboxTier,
        SandboxUnavailable,
        TooSlow,
    )

_HOMES = {
    "Inseparable": "program",
    "ProgramOutcome": "program",
    "Program": "program",
    "Sandbox": "pool",
    "SandboxFailed": "program",
    "SandboxUnavailable": "program",
    "SandboxTier": "program",
    "TooSlow": "program",
    "ProgramVerdict": "program",
    "program_cpu_limit": "limits",
    "open_sandbox": "pool",
    "with_limit": "pool",
}

__all__ = [
    "Inseparable",
    "Program",
    "ProgramOutcome",
    "ProgramVerdict",
    "Sandbox",
    "SandboxFailed",
    "SandboxTier",
    "SandboxUnavailable",
    "TooSlow",
    "open_sandbox",
    "program_cpu_limit",
    "with_limit",
]


def __getattr__(name: str) -> Any:
    """Load public names on first use, since workers, which import this package, need few of them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'evalsuite.sandbox' has no attribute '{name}'")
    return getattr(import_module(f"evalsuite.sandbox.{_HOMES[name]}"), name)
