"""Runs scorers that can hang or use too much memory in separate processes, with hard limits for each call.

The limits apply to the process's CPU time and memory, so that a text gets the same verdict on a busy machine.
A call that exceeds them is the text's fault (TextAtFault). The wall-clock limit is so long that only the
machine can exceed it.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

START_LIMIT = 600.0
"""Seconds that a worker may take to import its library."""
PATIENCE = 20.0
"""Wall-clock seconds per second of a call's CPU limit; a machine that is busier gives no verdict."""
START_ATTEMPTS = 3
"""Consecutive failed starts after which the remaining calls fail without another attempt."""


class ScorerFailed(Exception):
    """A call without a verdict, because it hung, crashed or raised. It is counted, never scored."""

    def __init__(self, reason: str, repeatable: bool = False) -> None:
        """`repeatable`: whether the scorer itself ended the call (it raised or crashed), not the machine."""
        super().__init__(reason)
        self.repeatable = repeatable


class TextAtFault(ScorerFailed):
    """A call that fails on any machine because of its text, which uses up CPU time or memory, for example."""


class ScorerProcess:
    """A scoring process, which is replaced after a failed call."""

    def __init__(
        self, target: str, limit: float, patience: float = PATIENCE, path: Sequence[str] = ()
    ) -> None:
        """Prepare the process; the first call starts it.

        Args:
            target: `package.module:function` whose arguments and verdict are JSON values.
            limit: seconds of CPU time per call, rounded up, since the kernel counts whole seconds.
            patience: wall-clock seconds for each second of the limit.
            path: folders from which the process imports packages before its own environment.
        """
        self._target = target
        self._path = path
        self._limit = limit
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._failed_starts = 0

    def call(self, arguments: Sequence[Any]) -> Any:
        """The function's verdict; raises ScorerFailed, or TextAtFault if a limit was reached."""
        try:
            process = self._alive() or self._started()
            assert process.stdin is not None
            process.stdin.write(json.dumps(list(arguments)).encode() + b"\n")
            process.stdin.flush()
            answer = self._line(process, self._limit * self._patience)
        except BrokenPipeError as error:
            failure = self._died(process)
            self.close()
            raise failure from error
        except ScorerFailed:
            self.close()
            raise
        if "error" in answer:
            raise ScorerFailed(f"the scorer raised {answer['error']}", repeatable=True)
        if "exceeded" in answer:
            raise TextAtFault(f"the scorer used up {answer['exceeded']}")
        return answer["verdict"]

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    # The pipe of a dead process may still contain the undelivered call.
                    with contextlib.suppress(OSError):
                        pipe.close()
        self._process = None
        self._unread = b""

    def _alive(self) -> subprocess.Popen[bytes] | None:
        """The process, unless it died after its last verdict, which is not the next call's fault."""
        if self._process is not None and self._process.poll() is not None:
            self.close()
        return self._process

    def _started(self) -> subprocess.Popen[bytes]:
        if self._failed_starts == START_ATTEMPTS:
            raise ScorerFailed(f"the scorer's process failed to start {START_ATTEMPTS} times")
        self._failed_starts += 1
        # -P: import this installation's modules, never files of the working folder.
        command = [sys.executable, "-P", "-m", "evalsuite.scoring.worker", self._target, str(self._limit)]
        path = os.pathsep.join([*self._path, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | ({"PYTHONPATH": path} if self._path else {}),
        )
        ready = self._line(self._process, START_LIMIT)
        if "error" in ready:
            raise ScorerFailed(f"the scorer's process could not start: {ready['error']}")
        self._failed_starts = 0
        return self._process

    def _died(self, process: subprocess.Popen[bytes]) -> ScorerFailed:
        """The reason why the process died during a call."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        if process.returncode == -signal.SIGXCPU:
            return TextAtFault(f"the scorer used up {self._limit:g} s of CPU time")
        return ScorerFailed("the scorer's process died", repeatable=process.returncode != -signal.SIGKILL)

    def _line(self, process: subprocess.Popen[bytes], limit: float) -> dict[str, Any]:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not selector.select(limit):
                    raise ScorerFailed(f"the scorer gave no verdict in {limit:.0f} s")
                part = os.read(process.stdout.fileno(), 1 << 16)
                if not part:
                    raise self._died(process)
                self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


def call_all(
    target: str,
    calls: Sequence[Sequence[Any]],
    *,
    limit: float = 30.0,
    workers: int | None = None,
    on_verdict: Callable[[], None] | None = None,
    patience: float = PATIENCE,
    path: Sequence[str] = (),
) -> list[Any | ScorerFailed]:
    """Verdicts of `calls` in order, with a ScorerFailed for each call without a verdict.

    Args:
        target: as for ScorerProcess.
        calls: the arguments of each call.
        limit: seconds of CPU time per call.
        workers: number of processes; None for one per core that this process may use.
        on_verdict: called after each call.
        patience: wall-clock seconds for each second of the limit.
        path: folders from which the processes import packages before their own environment.
    """
    count = max(1, min(workers or _usable_cores(), len(calls)))
    idle: SimpleQueue[ScorerProcess] = SimpleQueue()
    pool = [ScorerProcess(target, limit, patience, path) for _ in range(count)]
    for worker in pool:
        idle.put(worker)

    def verdict(arguments: Sequence[Any]) -> Any | ScorerFailed:
        worker = idle.get()
        try:
            return worker.call(arguments)
        except ScorerFailed as failure:
            return failure
        finally:
            idle.put(worker)

    try:
        with ThreadPoolExecutor(count) as threads:
            verdicts = []
            for answer in threads.map(verdict, calls):
                verdicts.append(answer)
                if on_verdict:
                    on_verdict()
            return verdicts
    finally:
        for worker in pool:
            worker.close()


def _usable_cores() -> int:
    # macOS has no affinity of processes.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
