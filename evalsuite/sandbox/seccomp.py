"""The filter of system calls that a program may use.

Unknown calls are refused (EPERM), so that a program gets an ordinary PermissionError; calls that only an
attack needs kill it. Forking and starting programs are refused, so that threads are the only concurrency.
Source: the kernel's Documentation/userspace-api/seccomp_filter.rst and include/uapi/linux/{seccomp,filter}.h.
"""

import ctypes
import errno
import platform
import struct
from dataclasses import dataclass
from functools import cache

from evalsuite.sandbox import linux, syscalls

_SECCOMP = {"x86_64": 317, "aarch64": 277}
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SET_MODE_FILTER, _FLAG_SPEC_ALLOW = 1, 4

_LOAD, _AND, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NEWEST = 450
"""Newest system call in the table; later ones look unimplemented, which the C library handles."""

_ANYONE = 0x7FFFABCD
"""Placeholder of the process id in the cached filter; no process has this id."""

_CLONE_THREAD = 0x10000
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE_MASK = 1, 1, 0xF
_SET_SIGNAL_RECEIVER = (8, 10, 15)
_FAKE_INPUT_OR_SET_SIGNAL_RECEIVER = (0x5412, 0x8901, 0x8902)

Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Piece:
    first: int
    """First number of a range of system calls with the same treatment."""
    code: list[Instruction]


def filter_program(pid: int) -> bytes:
    """The filter for process `pid`, which may signal only itself, as an array of `struct sock_filter`."""
    return _filter_of_anyone().replace(struct.pack("=I", _ANYONE), struct.pack("=I", pid))


@cache
def _filter_of_anyone() -> bytes:
    code = [
        _load(_ARCHITECTURE_AT),
        (_IF_EQUAL, 1, 0, _ARCHITECTURE[platform.machine()]),
        _end(_KILL),
        _load(_NUMBER_AT),
        *_search(_pieces(_treatment(_ANYONE))),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def install(program: bytes) -> None:
    """Apply the filter to this process permanently; it must have dropped new privileges before."""
    buffer = ctypes.create_string_buffer(program, len(program))
    pointer = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    linux.syscall("seccomp", linux.machine_number(_SECCOMP), _SET_MODE_FILTER, _FLAG_SPEC_ALLOW, pointer)


def _treatment(pid: int) -> dict[int, list[Instruction]]:
    """The treatment of each known system call, by number."""
    checked = syscalls.numbers(syscalls.CHECKED_SYSCALLS)
    special = {
        "clone": [_argument(0), (_IF_ANY_BIT, 0, 1, _CLONE_THREAD), _end(_ALLOW), _refuse()],
        "clone3": [_refuse(errno.ENOSYS)],
        "fcntl": _unless(1, _SET_SIGNAL_RECEIVER),
        "ioctl": _unless(1, _FAKE_INPUT_OR_SET_SIGNAL_RECEIVER),
        "kill": _only(0, (pid,)),
        "prlimit64": _only(0, (0, pid)),
        # A stream pair has no address, so that nothing can be sent elsewhere through it.
        "socketpair": [
            _argument(0),
            (_IF_EQUAL, 0, 3, _AF_UNIX),
            _argument(1),
            (_AND, 0, 0, _SOCK_TYPE_MASK),
            (_IF_EQUAL, 1, 0, _SOCK_STREAM),
            _refuse(),
            _end(_ALLOW),
        ],
        "tgkill": _only(0, (pid,)),
    }
    return (
        {number: [_end(_ALLOW)] for number in syscalls.numbers(syscalls.ALLOWED).values()}
        | {number: [_end(_KILL)] for number in syscalls.numbers(syscalls.FATAL).values()}
        | {checked[name]: code for name, code in special.items()}
    )


def _pieces(treatment: dict[int, list[Instruction]]) -> list[_Piece]:
    pieces: list[_Piece] = []
    for number in range(_NEWEST + 1):
        code = treatment.get(number, [_refuse()])
        if not pieces or pieces[-1].code != code:
            pieces.append(_Piece(number, code))
    return [*pieces, _Piece(_NEWEST + 1, [_refuse(errno.ENOSYS)])]


def _search(pieces: list[_Piece]) -> list[Instruction]:
    """A binary search for the range that contains the loaded number."""
    if len(pieces) == 1:
        return pieces[0].code
    middle = len(pieces) // 2
    below, above = _search(pieces[:middle]), _search(pieces[middle:])
    return [(_IF_AT_LEAST, len(below), 0, pieces[middle].first), *below, *above]


def _only(place: int, values: tuple[int, ...]) -> list[Instruction]:
    tests = [(_IF_EQUAL, len(values) - index, 0, value) for index, value in enumerate(values)]
    return [_argument(place), *tests, _refuse(), _end(_ALLOW)]


def _unless(place: int, values: tuple[int, ...]) -> list[Instruction]:
    tests = [(_IF_EQUAL, len(values) - index, 0, value) for index, value in enumerate(values)]
    return [_argument(place), *tests, _end(_ALLOW), _refuse()]


def _argument(place: int) -> Instruction:
    """Load the low half of an argument; both supported processors are little-endian."""
    return _load(_ARGUMENTS_AT + 8 * place)


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _end(action: int) -> Instruction:
    return (_RETURN, 0, 0, action)


def _refuse(number: int = errno.EPERM) -> Instruction:
    return _end(_ERRNO | number)
