"""The caller's side of a worker: starts it, sends it programs, and derives verdicts from its reports."""

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
"""A worker counts as hung after these wall-clock seconds plus this multiple of the program's CPU limit."""
_LARGEST_REPORT = 1 << 20
_FAREWELL = 5.0
"""Seconds that a worker has to exit after its socket is closed."""
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "LD_BIND_NOW": "1",  # Bind once, not in every fork.
    "PATH": "/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",  # The same order of sets, on which some programs depend, in every worker.
    "PYTHONUTF8": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class SandboxWorker:
    """A process that confines itself and runs one program at a time."""

    def __init__(
        self,
        settings: dict[str, Any],
        interpreter: Sequence[str] = (sys.executable,),
        packages: str = str(Path(__file__).resolve().parents[2]),
    ) -> None:
        """Prepare the worker; `start` starts it.

        Args:
            settings: see `supervisor`.
            interpreter: command that starts Python, with a program that confines it, if there is one.
            packages: the folder in which that Python finds evalsuite.
        """
        self._settings = settings
        self._command = [*interpreter, "-s", "-S", "-P", "-m", "evalsuite.sandbox.supervisor"]
        self._packages = packages
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self.layers: list[str] = []

    def start(self) -> None:
        """Start the process, unless it is running; raises SandboxFailed with the reason."""
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
        answer = self._receive()
        if "layers" not in answer:
            self.close()
            raise SandboxFailed(answer.get("refused", "the sandbox's process did not start"))
        self.layers = answer["layers"]

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
        """The verdict on a program; after a SandboxFailed, the next program gets a new process."""
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
            raise SandboxFailed(
                f"this machine cannot start another process or open a file: {error}"
            ) from None

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
        answer = self._receive()
        if mode == "compare":
            _raise_early_report(report or {})
        if "failed" in answer or not answer.get("confined"):
            raise SandboxFailed(answer.get("failed", "a process could not be confined"))
        if mode == "token":
            return _verdict_of_token(program, report, answer["ends"][0], token)
        if not started:
            raise SandboxFailed(f"the tests did not start: {ended(answer['ends'][0]['status'])[1]}")
        return _verdict_of_tests(program, report, *answer["ends"])

    def _hand_over(self, program: Program, mode: str) -> socket.socket:
        """Send the program to the process; returns the channel to its tests."""
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
        message: dict[str, Any] = json.loads(data)
        return message


def _tests_of(program: Program) -> dict[str, Any]:
    return {"tests": program.tests, "entry_point": program.entry_point, "keeps": program.keeps}


def _exchange(channel: socket.socket, message: dict[str, Any]) -> dict[str, Any] | None:
    """Send a message and receive a report; None if the other side ends without one."""
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
    """The next report of the other side; None if it ends without one."""
    try:
        return _report(channel)
    except link.Closed:
        return None
    except TimeoutError:
        raise SandboxFailed("the sandbox's process does not answer") from None


def _conversation(channel: socket.socket, program: Program, token: str) -> dict[str, Any] | None:
    """The report in mode `token`; sends tests and token after the program reports that its code has run."""
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
    except codec.MalformedMessage:
        return {}
    return report if isinstance(report, dict) else {}


def _raise_early_report(report: dict[str, Any]) -> None:
    """Raise for a report of the tests' process from before the candidate was confined or asked."""
    if report.get("outcome") == "inseparable":
        raise Inseparable(str(report.get("detail")))
    if report.get("outcome") == "broken":
        raise SandboxFailed(f"the tests do not compile: {report.get('detail')}")


def _verdict_of_tests(
    program: Program, report: dict[str, Any] | None, tests: dict[str, Any], candidate: dict[str, Any]
) -> ProgramVerdict:
    """The verdict in mode `compare`, whose report comes from a process that the candidate cannot touch.

    If the tests end without a report after they have started, the candidate's answers caused it.
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
        return outcome, f"the program's answers in the tests' process: {detail}"
    return ProgramOutcome.ERROR, f"the program's answers crashed the tests' process: {detail}"


def _verdict_of_token(
    program: Program, report: dict[str, Any] | None, process: dict[str, Any], token: str
) -> ProgramVerdict:
    """The verdict in mode `token`, in which only the token is trusted."""
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
    """Outcome and detail of a report, which may contain anything."""
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
    """The socket with a descriptor above the standard streams, which a caller may have closed."""
    if end.fileno() > 2:
        return end
    with end:
        return socket.socket(fileno=fcntl.fcntl(end.fileno(), fcntl.F_DUPFD_CLOEXEC, 3))
