"""Scorers that can hang or blow up run in processes of their own, each call under a hard time limit."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

START_LIMIT = 120.0
"""Seconds a worker may take to import its library."""


class ScorerFailed(Exception):
    """A call that gave no verdict: it hung, crashed or raised. Counted, never scored."""


class Worker:
    """One scoring process; it is replaced after a call that failed."""

    def __init__(self, target: str, limit: float) -> None:
        """
        Args:
            target: `package.module:function` whose arguments and verdict are JSON values.
            limit: seconds per call.
        """
        self._target = target
        self._limit = limit
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def call(self, arguments: Sequence[Any]) -> Any:
        """The function's verdict; raises ScorerFailed."""
        try:
            process = self._alive() or self._started()
            assert process.stdin is not None
            process.stdin.write(json.dumps(list(arguments)).encode() + b"\n")
            process.stdin.flush()
            answer = self._line(process, self._limit)
        except (ScorerFailed, BrokenPipeError) as error:
            self.close()
            raise (
                error if isinstance(error, ScorerFailed) else ScorerFailed("the scorer's process died")
            ) from error
        if "error" in answer:
            raise ScorerFailed(f"the scorer raised {answer['error']}")
        return answer["verdict"]

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    # A dead process's pipe may still hold the call that could not be delivered.
                    with contextlib.suppress(OSError):
                        pipe.close()
        self._process = None
        self._unread = b""

    def _alive(self) -> subprocess.Popen[bytes] | None:
        """The process, unless it died after its last verdict: the next call is not to blame for that."""
        if self._process is not None and self._process.poll() is not None:
            self.close()
        return self._process

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "evalsuite.scoring.worker", self._target]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._line(self._process, START_LIMIT)
        return self._process

    def _line(self, process: subprocess.Popen[bytes], limit: float) -> dict[str, Any]:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not selector.select(limit):
                    raise ScorerFailed(f"the scorer gave no verdict in {limit:.0f} s")
                part = os.read(process.stdout.fileno(), 1 << 16)
                if not part:
                    raise ScorerFailed("the scorer's process died")
                self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line)


def call_all(
    target: str,
    calls: Sequence[Sequence[Any]],
    *,
    limit: float = 30.0,
    workers: int | None = None,
    on_verdict: Callable[[], None] | None = None,
) -> list[Any | ScorerFailed]:
    """Verdicts of `calls` in their order; a call that gave none is a ScorerFailed in its place."""
    count = max(1, min(workers or os.cpu_count() or 1, len(calls)))
    idle: SimpleQueue[Worker] = SimpleQueue()
    pool = [Worker(target, limit) for _ in range(count)]
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
            for one in threads.map(verdict, calls):
                verdicts.append(one)
                if on_verdict:
                    on_verdict()
            return verdicts
    finally:
        for worker in pool:
            worker.close()
