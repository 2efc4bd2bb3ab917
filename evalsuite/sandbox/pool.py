"""The public interface of the sandbox: takes programs, returns verdicts."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from queue import SimpleQueue

from evalsuite.sandbox import limits, tiers
from evalsuite.sandbox.folder import empty
from evalsuite.sandbox.program import (
    Inseparable,
    Program,
    ProgramOutcome,
    ProgramVerdict,
    SandboxFailed,
    SandboxTier,
    SandboxUnavailable,
    TooSlow,
)
from evalsuite.sandbox.worker import SandboxWorker

OnDone = Callable[[int], None]


class Sandbox:
    """Workers of one tier; use it from one thread at a time."""

    def __init__(self, tier: SandboxTier, workers: Sequence[SandboxWorker]) -> None:
        self.tier = tier
        """The tier that confines the programs, with the result of its self-test."""
        self._workers = workers
        self._idle: SimpleQueue[SandboxWorker] = SimpleQueue()
        for worker in workers:
            self._idle.put(worker)

    def run(
        self, programs: Sequence[Program], on_done: OnDone | None = None
    ) -> list[ProgramVerdict | SandboxFailed]:
        """Verdicts in the programs' order, with a SandboxFailed for each program that got none twice.

        Inseparable is not retried, since another attempt cannot help.

        Args:
            programs: the programs to run.
            on_done: called with the number of finished programs after each one.
        """
        counted = _Counter(on_done)

        def verdict(program: Program) -> ProgramVerdict | SandboxFailed:
            result = self._verdict(program)
            if isinstance(result, SandboxFailed) and not isinstance(result, Inseparable):
                result = self._verdict(program)
            counted()
            return result

        with ThreadPoolExecutor(len(self._workers)) as threads:
            return list(threads.map(verdict, programs))

    def calibrate(
        self,
        references: Sequence[Program],
        floor: float = limits.FLOOR_SECONDS,
        factor: float = limits.FACTOR,
        most: float = 60.0,
    ) -> list[Program | SandboxFailed]:
        """The references with their mode and CPU limit, as templates for other programs.

        The limit is max(floor, factor x the reference's CPU time on this machine).

        Args:
            references: solutions that pass, each with the tests of its problem; their own limits are ignored.
            floor: smallest limit in seconds.
            factor: multiple of the reference's CPU time.
            most: CPU seconds that a reference may use; one that needs more, or does not pass, is a
                SandboxFailed.
        """
        verdicts = self.run([replace(reference, cpu_seconds=most) for reference in references])
        return [with_limit(*pair, floor, factor) for pair in zip(references, verdicts, strict=True)]

    def _verdict(self, program: Program) -> ProgramVerdict | SandboxFailed:
        worker = self._idle.get()
        try:
            return worker.run(program)
        except SandboxFailed as failure:
            return failure
        finally:
            self._idle.put(worker)


def with_limit(
    reference: Program,
    verdict: ProgramVerdict | SandboxFailed,
    floor: float = limits.FLOOR_SECONDS,
    factor: float = limits.FACTOR,
) -> Program | SandboxFailed:
    """A passed reference with the limit of `Sandbox.calibrate`; else a SandboxFailed or TooSlow.

    It has a fixed mode, so that no other program can choose to share a process with these tests.
    """
    if isinstance(verdict, SandboxFailed):
        return verdict
    if not verdict.passed:
        kind = TooSlow if verdict.outcome is ProgramOutcome.TIMEOUT else SandboxFailed
        return kind(f"the reference solution does not pass: {verdict.outcome}, {verdict.detail}")
    limit = limits.program_cpu_limit(verdict.cpu_seconds, floor, factor)
    return replace(reference, mode="token" if verdict.mode == "token" else "compare", cpu_seconds=limit)


class _Counter:
    """Counts calls, from any thread."""

    def __init__(self, on_done: OnDone | None) -> None:
        self._on_done = on_done
        self._lock = threading.Lock()
        self._count = 0

    def __call__(self) -> None:
        with self._lock:
            self._count += 1
            if self._on_done is not None:
                self._on_done(self._count)


@contextmanager
def open_sandbox(
    workers: int | None = None, tier: str | None = None, allow_unsafe: bool = False
) -> Iterator[Sandbox]:
    """Open the strongest tier that passes its self-test, or `tier`; raises SandboxUnavailable.

    Args:
        workers: number of programs to run at the same time; by default the number of processors.
        tier: `namespaces`, `bubblewrap` or `rlimits`.
        allow_unsafe: whether to allow tier `rlimits`, which hides neither files nor processes.
    """
    try:
        folder = tempfile.mkdtemp(prefix="evalsuite-")
    except OSError as error:
        raise SandboxUnavailable(f"The sandbox needs a folder for its self-test: {error}.") from None
    pool: list[SandboxWorker] = []
    try:
        chosen, make = tiers.choose_tier(tier, allow_unsafe, folder)
        pool = [make(number) for number in range(workers or len(os.sched_getaffinity(0)))]
        yield Sandbox(chosen, pool)
    finally:
        for worker in pool:
            worker.close()
        with suppress(OSError):
            empty(folder)
            os.rmdir(folder)
