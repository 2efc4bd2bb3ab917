"""Confines a process permanently before it runs a program."""

import fcntl
import math
import os
import resource
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.sandbox import landlock, linux, seccomp

_FIRST = 3
_DESCRIPTORS = 64
_THREADS = 64
_FILE_MIB = 16
_STACK_MIB = 16
_SPARE_CPU_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Confinement:
    """The confinement of all programs of a worker."""

    rules: int | None
    """Landlock rules for a candidate; None on a kernel without Landlock."""
    rules_of_tests: int | None
    """Landlock rules for the tests, without the folder for files."""
    uid: int | None
    """User id to switch to; None to keep the current user."""
    folder: str
    """Folder in which a candidate may write files."""
    own_users: bool
    """Whether the user's processes are counted for this worker alone, so that they can be limited."""


def confine(
    confinement: Confinement,
    *,
    candidate: bool,
    cpu_seconds: float,
    address_space: int,
    descriptors: Sequence[int],
) -> None:
    """Drop all rights that a program does not need; keep only `descriptors`, as 3, 4, ...

    Args:
        candidate: whether the process may write files.
        cpu_seconds: the watcher's limit; the kernel's limit is a little higher, in case the watcher fails.
        address_space: bytes, including the idle interpreter's.
    """
    os.setsid()
    os.chdir(confinement.folder if candidate else "/")
    if confinement.uid is not None:
        os.setgroups([])
        os.setresgid(confinement.uid, confinement.uid, confinement.uid)
        os.setresuid(confinement.uid, confinement.uid, confinement.uid)
    linux.die_with_parent(signal.SIGKILL)
    linux.drop_privileges()
    rules = confinement.rules if candidate else confinement.rules_of_tests
    if rules is not None:
        landlock.restrict(rules)
    _keep_only(descriptors)
    _limit(cpu_seconds, address_space, confinement.own_users)
    seccomp.install(seccomp.filter_program(os.getpid()))


def _keep_only(descriptors: Sequence[int]) -> None:
    """Close all descriptors except these and the standard streams, which are the null device."""
    last = _FIRST + len(descriptors)
    for place, descriptor in enumerate([_moved_beyond(last, descriptor) for descriptor in descriptors]):
        os.dup2(descriptor, _FIRST + place, inheritable=False)
    os.closerange(last, 1 << 20)


def _moved_beyond(last: int, descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, last)


def _limit(cpu_seconds: float, address_space: int, own_users: bool) -> None:
    cpu = math.ceil(cpu_seconds) + _SPARE_CPU_SECONDS
    for limit, value in (
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, address_space),
        (resource.RLIMIT_NPROC, _THREADS if own_users else resource.RLIM_INFINITY),
        (resource.RLIMIT_FSIZE, _FILE_MIB << 20),
        (resource.RLIMIT_STACK, _STACK_MIB << 20),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        lowest = min((each for each in (value, hard) if each != resource.RLIM_INFINITY), default=value)
        resource.setrlimit(limit, (lowest, lowest))
