"""The worker: confines itself, then forks the processes of one program after another.

It never sees a program, its tests or its verdict: the caller and the forked processes exchange these over
descriptors, so that no later program can find them in inherited memory.

The caller starts it as `python -m evalsuite.sandbox.supervisor DESCRIPTOR`. The descriptor is a socket that
carries one message with settings, and then jobs.
"""

import contextlib
import gc
import importlib
import json
import os
import random
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from evalsuite.sandbox import candidate, judge, landlock, link, linux, namespaces, seccomp, together, watch
from evalsuite.sandbox.confine import Confinement, confine
from evalsuite.sandbox.folder import Folder
from evalsuite.sandbox.limits import tests_limit

LONGEST_MESSAGE = 1 << 16
_COMMON_MODULES = [
    "abc",
    "bisect",
    "calendar",
    "cmath",
    "collections",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "heapq",
    "itertools",
    "math",
    "operator",
    "random",
    "re",
    "statistics",
    "string",
    "textwrap",
    "threading",
    "traceback",
    "typing",
]
"""Modules to import before the first program, since most programs use some of them."""
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_FIRST, _SECOND, _CONFINED = 3, 4, 5
"""Descriptors of a forked process; over the third one it reports that it is confined."""

Message = dict[str, Any]


def main(descriptor: int) -> None:
    """Confine this process, report it, and do jobs until the caller closes the connection."""
    caller = socket.socket(fileno=descriptor)
    settings = json.loads(caller.recv(LONGEST_MESSAGE))
    sys.path[:] = [path for path in sys.path if path != os.environ.get("PYTHONPATH")] + settings["sites"]
    os.environ.pop("PYTHONPATH", None)
    for name in _COMMON_MODULES:
        importlib.import_module(name)
    _offer_exit()
    try:
        worker = _Worker(caller, settings)
    except OSError as error:
        caller.send(json.dumps({"refused": error.strerror or str(error)}).encode())
        return
    caller.send(json.dumps({"layers": worker.layers}).encode())
    while worker.next_job():
        pass


def _offer_exit() -> None:
    """Define `exit` and `quit`, which an interpreter without its site module lacks."""
    import site

    site.setquit()


class _Worker:
    """A confined process that forks programs."""

    def __init__(self, caller: socket.socket, settings: Message) -> None:
        self._caller = caller
        own = settings["tier"] == "namespaces"
        self._inside = namespaces.enter(settings["shown"], settings["hidden"]) if own else namespaces.stay()
        self._own_users = settings["tier"] != "rlimits"
        self._folder = Folder(namespaces.FOLDER if own else settings["folder"], mounted=own)
        self._folder.open_to_programs()
        linux.hide_memory()
        self._readable = [*settings["shown"], *_DEVICES]
        self._listed = settings["sites"]
        self._confinement = self._confined()
        seccomp.filter_program(1)
        os.environ.update(TMPDIR=self._folder.path, HOME=self._folder.path)
        abi = landlock.abi()
        self.layers = [f"Landlock ABI {abi}" if abi else "no Landlock in this kernel", "seccomp", "rlimits"]
        gc.collect()
        gc.freeze()

    def _confined(self) -> Confinement:
        """The confinement of programs that write to the current folder."""
        folder = self._folder.path

        def rules(*written: str) -> int | None:
            return landlock.ruleset(self._readable, self._listed, written) if landlock.abi() else None

        return Confinement(rules(folder), rules(), self._inside.uid, folder, self._own_users)

    def _clean(self) -> None:
        """Remove everything that a program left; raises OSError."""
        if not self._folder.used():
            return
        self._folder.clean()
        for rules in (self._confinement.rules, self._confinement.rules_of_tests):
            if rules is not None:
                os.close(rules)
        self._confinement = self._confined()

    def next_job(self) -> bool:
        """Do the next job; False if the caller has closed the connection."""
        data, descriptors, _, _ = socket.recv_fds(self._caller, LONGEST_MESSAGE, 2)
        if not data:
            return False
        job = json.loads(data)
        if job["numpy"] and "numpy" not in sys.modules:
            with contextlib.suppress(ImportError):
                importlib.import_module("numpy")
            gc.freeze()
        try:
            answer = self._do(job, *descriptors)
        except watch.HungUp:
            return False
        except OSError as error:
            answer = {"failed": error.strerror or str(error)}
        self._caller.send(json.dumps(answer).encode())
        return True

    def _do(self, job: Message, code: int, channel: int) -> Message:
        """Fork the processes of a program, watch them end, and clean up after them."""
        confined, say_confined = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        opened = [code, channel, say_confined]
        children: list[watch.Child] = []
        try:
            if job["mode"] == "token":
                children.append(self._fork(_together, job, [code, channel, say_confined]))
            else:
                ours, theirs = (end.detach() for end in socket.socketpair())
                opened += [ours, theirs]
                children.append(self._fork(_judge, job, [channel, theirs, say_confined]))
                children.append(self._fork(_candidate, job, [code, ours, say_confined]))
            for descriptor in opened:
                os.close(descriptor)
            opened = []
            watch.watch(children, self._caller.fileno())
        finally:
            for descriptor in opened:
                os.close(descriptor)
            ends = [(*watch.reap(child), child.killed) for child in children]
            ready = len(_read_all(confined))
            self._clean()
        return {
            "confined": ready == len(children),
            "ends": [{"status": status, "cpu": cpu, "killed": killed} for status, cpu, killed in ends],
        }

    def _fork(self, run: Callable[[], None], job: Message, descriptors: Sequence[int]) -> watch.Child:
        is_candidate = run is not _judge
        limit = job["cpu"] if is_candidate else tests_limit(job["cpu"])
        address_space = self._inside.address_space() + (job["memory"] << 20)
        self._inside.give_next_child_its_own_processes()
        pid = os.fork()
        if pid == 0:
            self._become(run, is_candidate, limit, address_space, descriptors)
        return watch.Child(pid, os.pidfd_open(pid), limit)

    def _become(
        self,
        run: Callable[[], None],
        is_candidate: bool,
        limit: float,
        space: int,
        descriptors: Sequence[int],
    ) -> NoReturn:
        """Confine and run a forked process; never returns into the worker's code."""
        try:
            confine(
                self._confinement,
                candidate=is_candidate,
                cpu_seconds=limit,
                address_space=space,
                descriptors=descriptors,
            )
            os.write(_CONFINED, b"1")
            os.close(_CONFINED)
            random.seed(0)  # Some published tests draw random inputs; all programs get the same.
            run()
        finally:
            os._exit(0)


def _candidate() -> None:
    code = _whole_file(_FIRST)
    candidate.serve(code, socket.socket(fileno=_SECOND))


def _judge() -> None:
    channel = socket.socket(fileno=_FIRST)
    sent = link.receive(channel)

    def started() -> None:
        link.send(channel, {"started": True})

    asked = socket.socket(fileno=_SECOND)
    judge.run_tests(sent["tests"], sent["entry_point"], asked, started, _stop(channel), sent["keeps"])


def _together() -> None:
    code = _whole_file(_FIRST)
    channel = socket.socket(fileno=_SECOND)
    together.run_together(code, channel, _stop(channel))


def _stop(channel: socket.socket) -> Callable[[str, str], NoReturn]:
    def stop(outcome: str, detail: str) -> NoReturn:
        try:
            link.send(channel, {"outcome": outcome, "detail": detail})
        finally:
            os._exit(0)

    return stop


def _whole_file(descriptor: int) -> str:
    with open(descriptor, "rb") as file:
        return file.read().decode("utf-8", "surrogatepass")


def _read_all(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 16)
    except BlockingIOError:
        return b""
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(int(sys.argv[1]))
