"""Watching over the processes of one program: CPU time, sleep, and their end.

A process that computes less than it could is asleep for the rest of the time. What it could is measured: a
busy machine gives a process that wants to compute little of the clock's time, and takes none of its right to
go on.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evalsuite.sandbox.limits import idle_seconds

_TICK = 0.5
_BUSY = 0.5
"""Share of a core from which on a program counts as awake all the time, so that its CPU limit ends it soon
enough."""
_PROBE = 0.02
"""CPU seconds that the watcher burns to see how much of a core there is to have: several turns of the
scheduler."""


class HungUp(Exception):
    """The caller is gone."""


@dataclass(slots=True)
class Child:
    """A process of the program."""

    pid: int
    pidfd: int
    limit: float
    """Seconds of CPU time."""
    killed: str = ""
    """`cpu` or `idle` where the watcher ended it for that, `left` where it was still there at the end."""
    ended: bool = False

    def cpu(self) -> float:
        """Seconds of CPU time that it and its threads have used; 0 where it is gone."""
        try:
            # The kernel's clock of another process's CPU time, as clock_getcpuclockid(3) makes it.
            return time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            return 0.0

    def kill(self, reason: str) -> None:
        """End it, unless it has ended."""
        if not self.ended:
            self.killed = self.killed or reason
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


def watch(children: Sequence[Child], caller: int) -> None:
    """Return when the first of `children` has ended, or had to be ended; the others may still run.

    A child over its CPU time is killed: the others notice. All are killed when they have been asleep for
    `idle_seconds`, in one piece or in naps. Raises HungUp when the descriptor `caller` says so.
    """
    poll = select.poll()
    poll.register(caller, select.POLLHUP | select.POLLRDHUP)
    for child in children:
        poll.register(child.pidfd, select.POLLIN)
    asleep, used, then = 0.0, 0.0, time.monotonic()
    while not children[0].ended:
        running = [child for child in children if not child.ended]
        spare = min(child.limit - child.cpu() for child in running)
        ready = {descriptor for descriptor, _ in poll.poll(1000 * min(max(spare / 2, 0.005), _TICK))}
        if caller in ready:
            raise HungUp
        for child in running:
            if child.pidfd in ready:
                child.ended = True
                poll.unregister(child.pidfd)
            elif child.cpu() > child.limit:
                child.kill("cpu")
        now, total = time.monotonic(), sum(child.cpu() for child in children)
        if now - then >= _TICK / 2:  # Over less, the clocks say little.
            asleep += asleep_for(total - used, now - then)
            used, then = sum(child.cpu() for child in children), time.monotonic()
        if asleep > min(idle_seconds(child.limit) for child in children):
            for child in children:
                child.kill("idle")
            asleep = 0.0


def asleep_for(cpu: float, wall: float, share: Callable[[], float] | None = None) -> float:
    """Of `wall` seconds in which processes have used `cpu` seconds, those in which they did not want to
    compute.

    Args:
        share: measures the share of a core that a process gets which wants all of it; asked only where it
            matters.
    """
    if cpu >= _BUSY * wall:
        return 0.0
    return max(0.0, wall - cpu / (share or available_share)())


def available_share() -> float:
    """Share of a core that this process gets while it computes."""
    began, used = time.monotonic(), time.thread_time()
    while time.thread_time() - used < _PROBE:
        pass
    return min(1.0, (time.thread_time() - used) / (time.monotonic() - began))


def reap(child: Child) -> tuple[int, float]:
    """The wait status and the CPU seconds of a child, which is killed (`left`) if it still runs."""
    child.kill("left")
    _, status, usage = os.wait4(child.pid, 0)
    os.close(child.pidfd)
    return status, usage.ru_utime + usage.ru_stime
