"""Limits CPU time inside a process; unlike wall-clock time, it does not depend on how busy the machine is."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class OutOfTime(BaseException):
    """The limit was reached. Not an Exception, since libraries inside the block catch these."""


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime inside the block once it has used `seconds` of CPU time; main thread only.

    It is raised again every 0.1 s, since Python ignores exceptions in a destructor or a cache's comparison.
    """
    inside = True

    def expired(_signal: int, _frame: FrameType | None) -> None:
        if inside:
            raise OutOfTime

    earlier = signal.signal(signal.SIGPROF, expired)
    signal.setitimer(signal.ITIMER_PROF, seconds, 0.1)
    try:
        yield
    finally:
        inside = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, earlier)


@contextmanager
def alarms_of_cpu_time() -> Iterator[None]:
    """Make `signal.alarm` count CPU time inside the block, for libraries that use it; main thread only."""

    def alarm(seconds: int) -> int:
        if seconds:
            signal.signal(signal.SIGPROF, signal.getsignal(signal.SIGALRM))
        signal.setitimer(signal.ITIMER_PROF, seconds)
        return 0

    by_the_clock, earlier = signal.alarm, signal.getsignal(signal.SIGPROF)
    signal.alarm = alarm
    try:
        yield
    finally:
        signal.alarm = by_the_clock
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, earlier)
