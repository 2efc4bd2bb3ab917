"""The caller's side of one worker: starts it, hands it programs, and makes a verdict of what comes back."""

import fcntl
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalsuite.sandbox import codec, link
from evalsuite.sandbox.limits import idle_seconds
from evalsuite.sandbox.program import Inseparable, Program, ProgramOutcome, ProgramVerdict, SandboxFailed
from evalsuite.sandbox.reports import TESTS, ended, one_line

START_SECONDS = 60.0
_PATIENCE, _SLOWEST = 300.0, 50.0
"""Seconds, and multiple of its CPU time, that a program may take on the clock before its worker counts as
hung."""
_LARGEST_REPORT = 1 << 20
_FAREWELL = 5.0
"""Seconds in which a worker ends by itself once its socket is closed."""
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "LD_BIND_NOW": "1",  # Once here, and not in every fork.
    "PATH": "/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",  # The order of sets, which some programs depend on, is the same in every worker.
    "PYTHONUTF8": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class SandboxWorker:
    """One process that confines itself and runs one program at a time."""

    def __init__(
        self,
        settings: dict[str, Any],
        interpreter: Sequence[str] = (sys.executable,),
        packages: str = str(Path(__file__).resolve().parents[2]),
    ) -> None:
        """
        Args:
            settings: see `supervisor`.
            interpreter: how to start Python; with what confines it from outside, where something does.
            packages: the folder in which that Python finds evalsuite.
        """
        self._settings = settings
        self._command = [*interpreter, "-s", "-S", "-P", "-m", "evalsuite.sandbox.supervisor"]
        self._packages = packages
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self.layers: list[str] = []

    def start(self) -> None:
        """Start the process, unless it runs; raises SandboxFailed with its reason."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        ours, theirs = (
            _above_standard(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        )
        with theirs:
            self._socket = ours
            self._process = subprocess.Popen(
                [*self._command, str(theirs.fileno())],
                env=_ENVIRONMENT | {"PYTHONPATH": self._packages},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        ours.settimeout(START_SECONDS)
        self._send(json.dumps(self._settings).encode(), [])
        told = self._receive()
        if "layers" not in told:
            self.close()
            raise SandboxFailed(told.get("refused", "the sandbox's process did not start"))
        self.layers = told["layers"]

    def close(self) -> None:
        """End the process and all programs in it."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            try:
                self._process.wait(_FAREWELL)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = self._socket = None

    def run(self, program: Program) -> ProgramVerdict:
        """The verdict on a program; raises SandboxFailed, after which the next program gets a new process."""
        try:
            self.start()
            try:
                return self._judged(program, "token" if program.mode == "token" else "compare")
            except Inseparable:
                if program.mode == "compare":
                    raise
                return self._judged(program, "token")
        except SandboxFailed:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise SandboxFailed(f"this machine has no room for another process or file: {error}") from None

    def _judged(self, program: Program, mode: str) -> ProgramVerdict:
        token = secrets.token_hex(16)
        patience = _PATIENCE + _SLOWEST * program.cpu_seconds
        channel = self._hand_over(program, mode)
        with channel:
            channel.settimeout(patience)
            if mode == "token":
                report = _conversation(channel, program, token)
            else:
                report = _exchange(channel, _tests_of(program))
                started = report == {"started": True}
                report = _next_report(channel) if started else report
        assert self._socket is not None
        self._socket.settimeout(_PATIENCE)
        told = self._receive()
        if mode == "compare":
            _raise_what_tests_say_first(report or {})
        if "failed" in told or not told.get("confined"):
            raise SandboxFailed(told.get("failed", "a process could not be confined"))
        if mode == "token":
            return _verdict_of_token(program, report, told["ends"][0], token)
        if not started:
            raise SandboxFailed(f"the tests did not start: {ended(told['ends'][0]['status'])[1]}")
        return _verdict_of_tests(program, report, *told["ends"])

    def _hand_over(self, program: Program, mode: str) -> socket.socket:
        """Give the program to the process; what is left is the channel to its tests."""
        text = program.code.encode("utf-8", "surrogatepass")
        uses_numpy = "numpy" in program.tests or "numpy" in program.code
        job = {"mode": mode, "cpu": program.cpu_seconds, "memory": program.memory_mb, "numpy": uses_numpy}
        channel, theirs = socket.socketpair()
        code = os.memfd_create("program")
        try:
            os.write(code, text)
            os.lseek(code, 0, os.SEEK_SET)
            self._send(json.dumps(job).encode(), [code, theirs.fileno()])
        except BaseException:
            channel.close()
            raise
        finally:
            os.close(code)
            theirs.close()
        return channel

    def _send(self, message: bytes, descriptors: list[int]) -> None:
        assert self._socket is not None
        try:
            socket.send_fds(self._socket, [message], descriptors)
        except OSError as error:
            raise SandboxFailed(f"the sandbox's process is gone: {error}") from None

    def _receive(self) -> dict[str, Any]:
        assert self._socket is not None
        try:
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            raise SandboxFailed("the sandbox's process does not answer") from None
        except OSError as error:
            raise SandboxFailed(f"the sandbox's process is gone: {error}") from None
        if not data:
            raise SandboxFailed("the sandbox's process died")
        return json.loads(data)


def _tests_of(program: Program) -> dict[str, Any]:
    return {"tests": program.tests, "entry_point": program.entry_point, "keeps": program.keeps}


def _exchange(channel: socket.socket, message: dict[str, Any]) -> dict[str, Any] | None:
    """Send a message, and receive one; None where the other side ends without one or writes what is none."""
    try:
        link.send(channel, message)
    except link.Closed:
        return None
    except TimeoutError:
        raise SandboxFailed("the sandbox's process does not answer") from None
    except ValueError as error:
        raise SandboxFailed(f"the tests are too large: {error}") from None
    return _next_report(channel)


def _next_report(channel: socket.socket) -> dict[str, Any] | None:
    """What the other side says next; None where it ends without a word."""
    try:
        return _report(channel)
    except link.Closed:
        return None
    except TimeoutError:
        raise SandboxFailed("the sandbox's process does not answer") from None


def _conversation(channel: socket.socket, program: Program, token: str) -> dict[str, Any] | None:
    """As `_exchange`; tests and token are sent when the program says that its code has run."""
    try:
        compile(program.tests, TESTS, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise SandboxFailed(f"the tests do not compile: {error}") from None
    report = _next_report(channel)
    if report == {"defined": True}:
        return _exchange(channel, _tests_of(program) | {"token": token})
    return report


def _report(channel: socket.socket) -> dict[str, Any]:
    try:
        report = link.receive(channel, _LARGEST_REPORT)
    except codec.Malformed:
        return {}
    return report if isinstance(report, dict) else {}


def _raise_what_tests_say_first(report: dict[str, Any]) -> None:
    """What the tests' process may say before the candidate is asked anything, whose process then ends
    unconfined."""
    if report.get("outcome") == "inseparable":
        raise Inseparable(str(report.get("detail")))
    if report.get("outcome") == "broken":
        raise SandboxFailed(f"the tests do not compile: {report.get('detail')}")


def _verdict_of_tests(
    program: Program, report: dict[str, Any] | None, tests: dict[str, Any], candidate: dict[str, Any]
) -> ProgramVerdict:
    """Of mode `compare`, where the report comes from a process that the candidate cannot touch.

    Tests that end without a report after they have started end by what the candidate's answers made of them.
    """
    outcome, detail = _timed_out(program, candidate) or (None, "")
    if outcome is None and tests["killed"] in ("cpu", "idle"):
        outcome, detail = ProgramOutcome.TIMEOUT, "the tests did not end"
    elif outcome is None:
        told, detail = _told(report)
        if told == "gone":
            outcome, detail = _ended(candidate)
        elif told in set(ProgramOutcome):
            outcome = ProgramOutcome(told)
        else:
            outcome, detail = _of_tests_process(tests["status"])
    if outcome is ProgramOutcome.PASSED:
        return ProgramVerdict(outcome, "", "compare", candidate["cpu"], kept=detail)
    return ProgramVerdict(outcome, one_line(detail), "compare", candidate["cpu"])


def _of_tests_process(status: int) -> tuple[ProgramOutcome, str]:
    outcome, detail = ended(status)
    if outcome is ProgramOutcome.MEMORY:
        return outcome, f"the tests' process, by the program's answers: {detail}"
    return ProgramOutcome.ERROR, f"the program's answers ended the tests' process: {detail}"


def _verdict_of_token(
    program: Program, report: dict[str, Any] | None, process: dict[str, Any], token: str
) -> ProgramVerdict:
    """Of mode `token`, where only the token is believed."""
    outcome, detail = _timed_out(program, process) or (None, "")
    if outcome is None:
        told, detail = _told(report)
        if report is None:
            outcome, detail = _ended(process)
        elif told == ProgramOutcome.PASSED and detail == token and process["status"] == 0:
            outcome, detail = ProgramOutcome.PASSED, ""
        elif told in set(ProgramOutcome) - {ProgramOutcome.PASSED}:
            outcome = ProgramOutcome(told)
        else:
            outcome, detail = ProgramOutcome.VIOLATION, "a forged verdict"
    return ProgramVerdict(outcome, one_line(detail), "token", process["cpu"])


def _told(report: dict[str, Any] | None) -> tuple[str, str]:
    """Outcome and detail of a report, which may hold anything."""
    return str((report or {}).get("outcome")), str((report or {}).get("detail", ""))


def _timed_out(program: Program, process: dict[str, Any]) -> tuple[ProgramOutcome, str] | None:
    if process["killed"] == "cpu":
        return ProgramOutcome.TIMEOUT, f"more than {program.cpu_seconds:.3g} s of CPU time"
    if process["killed"] == "idle":
        return ProgramOutcome.TIMEOUT, f"idle for {idle_seconds(program.cpu_seconds):.3g} s"
    return None


def _ended(process: dict[str, Any]) -> tuple[ProgramOutcome, str]:
    if process["killed"] == "left" and process["status"] == 9:
        return ProgramOutcome.EXITED, "it cut the connection to its tests"
    return ended(process["status"])


def _above_standard(end: socket.socket) -> socket.socket:
    """The socket under a number that is not a standard stream's, which a caller may have closed."""
    if end.fileno() > 2:
        return end
    with end:
        return socket.socket(fileno=fcntl.fcntl(end.fileno(), fcntl.F_DUPFD_CLOEXEC, 3))
