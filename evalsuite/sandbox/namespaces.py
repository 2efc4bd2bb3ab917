"""Isolates a worker in namespaces: no network, no other processes, and a root with Python only.

Works without root if the kernel allows users to create user namespaces.
"""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.sandbox import linux

FOLDER, TEMPORARY = "/scratch", "/tmp"
"""The writable folder in the new root, and its usual name, a link, since Python may be installed below it."""
FOLDER_MODE = 0o1777

_INNER_ID, _NOBODY = 1000, 65534
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_MOUNT_POINTS = ("/mnt", "/srv", "/media", "/opt", "/home", "/var", "/tmp")
_FOLDER_OPTIONS = f"size=32m,nr_inodes=4096,mode={FOLDER_MODE:o}"
_SEALED = linux.ATTR_RDONLY | linux.ATTR_NOSUID
_ALL = (
    linux.CLONE_NEWUSER
    | linux.CLONE_NEWNS
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWNET
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWUTS
    | linux.CLONE_NEWCGROUP
)


@dataclass(frozen=True, slots=True)
class Inside:
    """The environment of a worker."""

    size: int
    """Descriptor of the worker's `/proc/self/statm`, which a new root does not show."""
    uid: int | None = None
    """User id for programs: nobody if the worker is root, None for any other user, who is kept."""
    processes: int | None = None
    """Descriptor of the worker's PID namespace; None if its children get no namespace of their own."""

    def address_space(self) -> int:
        """Bytes of address space that the worker uses."""
        return int(os.pread(self.size, 64, 0).split()[0]) * os.sysconf("SC_PAGESIZE")

    def give_next_child_its_own_processes(self) -> None:
        """Make the next child process 1 of a new PID namespace, whose processes end with it."""
        if self.processes is not None:
            # The kernel creates a new namespace only for a process whose children would share its own.
            linux.setns(self.processes, linux.CLONE_NEWPID)
            linux.unshare(linux.CLONE_NEWPID)


def stay() -> Inside:
    """The environment of a worker without own namespaces, confined by another program or not at all."""
    return Inside(os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC))


def enter(readable: Sequence[str], hidden: Sequence[str]) -> Inside:
    """Enter new namespaces and a root that contains only `readable`, without the folders `hidden` in it.

    Returns in a child; the parent waits for it and exits with its code. Raises an OSError that names the call
    that the kernel refused.
    """
    uid = _new_namespaces()
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    linux.die_with_parent(signal.SIGKILL)
    processes = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    size = stay().size
    _new_root(readable, hidden)
    return Inside(size, uid, processes)


def renew_folder() -> None:
    """Replace the folder that a program used by an empty one."""
    linux.unmount(FOLDER)
    _mount_folder(FOLDER)


def _mount_folder(target: str) -> None:
    flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    linux.mount("tmpfs", target, "tmpfs", flags, _FOLDER_OPTIONS)


def _new_namespaces() -> int | None:
    """Create namespaces in which this process has all rights; returns the user id for programs."""
    worker = os.getpid()
    ready, tell = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(tell)
        # Several users can be mapped only from outside, and only after the namespace exists.
        os._exit(_map_users(worker) if os.read(ready, 1) else 0)
    os.close(ready)
    try:
        linux.unshare(_ALL)
        os.write(tell, b"1")
    finally:
        os.close(tell)
        _, status = os.waitpid(helper, 0)
    mapped = os.waitstatus_to_exitcode(status)
    if mapped == _NOT_MAPPED:
        raise OSError("the user could not be mapped into the new namespace")
    return _INNER_ID if mapped == _TWO_USERS else None


_TWO_USERS, _ONE_USER, _NOT_MAPPED = 10, 11, 12


def _map_users(worker: int) -> int:
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        try:
            _write_maps(worker, f"0 0 1\n{_INNER_ID} {_NOBODY} 1\n", f"0 0 1\n{_INNER_ID} {_NOBODY} 1\n")
            return _TWO_USERS
        except OSError:
            pass
    try:
        # The kernel requires this of users who map themselves, so that nobody can drop a group.
        with open(f"/proc/{worker}/setgroups", "w") as groups:
            groups.write("deny")
        _write_maps(worker, f"{_INNER_ID} {uid} 1\n", f"{_INNER_ID} {gid} 1\n")
        return _ONE_USER
    except OSError:
        return _NOT_MAPPED


def _write_maps(worker: int, users: str, groups: str) -> None:
    for name, mapping in (("uid_map", users), ("gid_map", groups)):
        descriptor = os.open(f"/proc/{worker}/{name}", os.O_WRONLY)
        try:
            os.write(descriptor, mapping.encode())
        finally:
            os.close(descriptor)


def _new_root(readable: Sequence[str], hidden: Sequence[str]) -> None:
    linux.mount("none", "/", None, linux.MS_REC_PRIVATE)
    free = (point for point in _MOUNT_POINTS if os.path.isdir(point) and not _holds_any(point, readable))
    root = next(free, None)
    if root is None:
        raise OSError(f"none of {', '.join(_MOUNT_POINTS)} is free to build a root folder on")
    linux.mount("tmpfs", root, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=1m,mode=755")
    outside_hidden = [path for path in readable if not _is_in_any(path, hidden)]
    for path in outside_hidden:
        _show(root, path)
    for path in hidden:
        if os.path.isdir(root + path):
            linux.mount("tmpfs", root + path, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=1m,mode=755")
    for path in readable:
        if path not in outside_hidden:
            _show(root, path)
    for path in hidden:
        if os.path.isdir(root + path):
            linux.restrict_mount(root + path, _SEALED, recursive=False)
    for device in _DEVICES:
        _show(root, device, attributes=linux.ATTR_NOSUID | linux.ATTR_NOEXEC)
    os.makedirs(root + FOLDER, exist_ok=True)
    _mount_folder(root + FOLDER)
    if not os.path.lexists(root + TEMPORARY):
        os.symlink(FOLDER, root + TEMPORARY)
    linux.restrict_mount(root, _SEALED, recursive=False)
    linux.pivot_root(root)


def _show(root: str, path: str, attributes: int = _SEALED | linux.ATTR_NODEV) -> None:
    """Make `path` visible under `root`, a symbolic link as a link; a missing path is skipped."""
    target = root + path
    if os.path.lexists(target) or not os.path.exists(path):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o444))
    linux.mount(path, target, None, linux.MS_BIND_REC)
    linux.restrict_mount(target, attributes, recursive=True)


def _holds_any(folder: str, paths: Sequence[str]) -> bool:
    return any((path + "/").startswith(folder + "/") for path in paths)


def _is_in_any(path: str, folders: Sequence[str]) -> bool:
    return any(path.startswith(folder + "/") for folder in folders)
