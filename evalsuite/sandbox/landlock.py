"""Landlock: kernel rules on a process's access to files, and to processes outside.

Source: the kernel's Documentation/userspace-api/landlock.rst; rights by ABI version.
"""

import os
import struct
from collections.abc import Iterable

from evalsuite.sandbox import linux

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1

WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE = 1 << 4, 1 << 5
MAKE_DIR, MAKE_REG, MAKE_SYM = 1 << 7, 1 << 8, 1 << 12
TRUNCATE = 1 << 14
READ = READ_FILE | READ_DIR
WRITE = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | TRUNCATE
_OF_FILES = WRITE_FILE | READ_FILE | TRUNCATE

_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_ALL_RIGHTS = (1 << 16) - 1
_NET_BIND_AND_CONNECT = 3
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3


def abi() -> int:
    """The kernel's ABI version of Landlock; 0 if it has none or it is disabled."""
    try:
        return linux.syscall("landlock_create_ruleset", _CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def ruleset(read: Iterable[str], listed: Iterable[str], write: Iterable[str]) -> int:
    """A descriptor of rules: `read` is readable, `listed` listable, `write` writable; all else is forbidden.

    Paths that do not exist are skipped. From ABI 4 on TCP is forbidden, from ABI 6 on also signals to and
    abstract sockets of processes outside. Raises OSError if the kernel has no Landlock.
    """
    version = abi()
    handled = _RIGHTS.get(version, _ALL_RIGHTS)
    net = _NET_BIND_AND_CONNECT if version >= 4 else 0
    scoped = _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0
    attributes = struct.pack("QQQ", handled, net, scoped)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = linux.syscall("landlock_create_ruleset", _CREATE_RULESET, attributes, size, 0)
    for paths, rights in ((read, READ), (listed, READ_DIR), (write, WRITE)):
        for path in paths:
            _allow(rules, path, rights & handled)
    return rules


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, descriptor)
        linux.syscall("landlock_add_rule", _ADD_RULE, rules, _PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)


def restrict(rules: int) -> None:
    """Apply the rules to this process permanently; it must have dropped new privileges before."""
    linux.syscall("landlock_restrict_self", _RESTRICT_SELF, rules, 0)
