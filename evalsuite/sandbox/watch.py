"""Watches the processes of a program: CPU time, idle time, and their end.

A process that computes less than it could counts as idle for the rest of the time. The available share of a
core is measured, so that a busy machine, on which a process gets little CPU time, does not make it look idle.
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
"""Share of a core above which a program never counts as idle, since its CPU limit ends it soon enough."""
_PROBE = 0.02
"""CPU seconds that the watcher uses to measure the available share of a core: several scheduler turns."""


class HungUp(Exception):
    """The caller closed the connection."""


@dataclass(slots=True)
class Child:
    """A process of the program."""

    pid: int
    pidfd: int
    limit: float
    """CPU limit in seconds."""
    killed: str = ""
    """`cpu` or `idle` if the watcher killed it for that reason, `left` if it was still running at the end."""
    ended: bool = False

    def cpu(self) -> float:
        """CPU seconds that the process and its threads have used; 0 if it is gone."""
        try:
            # The kernel's clock id of another process's CPU time, as in clock_getcpuclockid(3).
            return time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            return 0.0

    def kill(self, reason: str) -> None:
        """Kill the process, unless it has ended."""
        if not self.ended:
            self.killed = self.killed or reason
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


def watch(children: Sequence[Child], caller: int) -> None:
    """Return when the first of `children` has ended or was killed; the others may still run.

    A child that exceeds its CPU limit is killed, which the others notice. All are killed after `idle_seconds`
    of total idle time. Raises HungUp when the descriptor `caller` is closed.
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
        if now - then >= _TICK / 2:  # Over shorter times, the clocks are too coarse.
            asleep += asleep_for(total - used, now - then)
            used, then = sum(child.cpu() for child in children), time.monotonic()
        if asleep > min(idle_seconds(child.limit) for child in children):
            for child in children:
                child.kill("idle")
            asleep = 0.0


def asleep_for(cpu: float, wall: float, share: Callable[[], float] | None = None) -> float:
    """Idle seconds of processes that used `cpu` seconds of CPU time in `wall` seconds.

    Args:
        cpu: seconds of CPU time.
        wall: seconds of wall-clock time.
        share: measures the share of a core that a busy process gets; called only if it matters.
    """
    if cpu >= _BUSY * wall:
        return 0.0
    return max(0.0, wall - cpu / (share or available_share)())


def available_share() -> float:
    """Share of a core that this process gets when it computes."""
    began, used = time.monotonic(), time.thread_time()
    while time.thread_time() - used < _PROBE:
        pass
    return min(1.0, (time.thread_time() - used) / (time.monotonic() - began))


def reap(child: Child) -> tuple[int, float]:
    """Wait status and CPU seconds of a child, which is killed (`left`) if it still runs."""
    child.kill("left")
    _, status, usage = os.wait4(child.pid, 0)
    os.close(child.pidfd)
    return status, usage.ru_utime + usage.ru_stime
