"""What a process gives up, for good, before it runs a program."""

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
    """What all programs of a worker have in common."""

    rules: int | None
    """Landlock's rules for a candidate; None on a kernel without it."""
    rules_of_tests: int | None
    """The same without the folder for files."""
    uid: int | None
    """The user to become; None to stay who we are."""
    folder: str
    """Where a candidate may write files."""
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
    """Give up everything that a program does not need; `descriptors` become 3, 4, ... and the only ones.

    Args:
        candidate: whether it may write files.
        cpu_seconds: the watcher's limit; the kernel's own end comes a little later, should the watcher fail.
        address_space: bytes, with those of the idle interpreter.
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
    """Standard input and output are the null device already."""
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
