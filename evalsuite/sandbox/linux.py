"""System calls that Python 3.11 lacks, through the C library."""

import ctypes
import os
import platform
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_REC_PRIVATE = 0x4000 | 0x40000
MS_BIND_REC = 0x1000 | 0x4000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MNT_DETACH = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 1, 2, 4, 8

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITY_VERSION_3 = 0x20080522
_CAPSET = {"x86_64": 126, "aarch64": 91}
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR = 442

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def call(name: str, result: int) -> int:
    """The result of a C function; raises OSError that names the function."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def syscall(name: str, number: int, *arguments: object) -> int:
    """A system call by number; integers are passed as longs."""
    longs = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return call(name, _libc.syscall(ctypes.c_long(number), *longs))


def machine_number(numbers: dict[str, int]) -> int:
    """The entry for this processor; raises OSError if the sandbox does not support it."""
    machine = platform.machine()
    if machine not in numbers:
        raise OSError(f"the sandbox supports x86_64 and aarch64, not {machine}")
    return numbers[machine]


def unshare(flags: int) -> None:
    """Create new namespaces for this process (a PID namespace: for its next child)."""
    call("unshare", _libc.unshare(flags))


def setns(descriptor: int, kind: int) -> None:
    """Enter the namespace of an open `/proc/*/ns/*` file."""
    call("setns", _libc.setns(descriptor, kind))


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Mount a file system, as mount(2)."""
    call(
        f"mount of {target}",
        _libc.mount(
            source.encode(), target.encode(), kind.encode() if kind else None, flags, options.encode() or None
        ),
    )


def unmount(target: str) -> None:
    """Detach the mount on `target`, even if it is in use."""
    call(f"umount of {target}", _libc.umount2(target.encode(), MNT_DETACH))


def restrict_mount(target: str, attributes: int, *, recursive: bool) -> None:
    """Set attributes such as read-only on a mount and, if `recursive`, on all below it (Linux 5.12)."""
    setting = struct.pack("QQQQ", attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    syscall("mount_setattr", _MOUNT_SETATTR, _AT_FDCWD, target.encode(), flags, setting, len(setting))


def pivot_root(folder: str) -> None:
    """Make `folder`, a mount, the root and detach the old root."""
    os.chdir(folder)
    syscall("pivot_root", machine_number(_PIVOT_ROOT), b".", b".")
    unmount(".")
    os.chdir("/")


def die_with_parent(signal: int) -> None:
    """Make the kernel send `signal` when the thread that started this process ends."""
    call("prctl", _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal), 0, 0, 0))


def hide_memory() -> None:
    """Forbid unprivileged processes to trace this one or read its memory."""
    call("prctl", _libc.prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0), 0, 0, 0))


def drop_privileges() -> None:
    """Drop all capabilities, and forbid getting new ones by starting another program."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    syscall("capset", machine_number(_CAPSET), header, bytes(24))
    call("prctl", _libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0))
