"""A limit on CPU time inside a process: unlike wall-clock time, a busy machine does not change what it lets
pass."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class OutOfTime(BaseException):
    """The limit was reached. Not an Exception: libraries catch those within."""


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Raises OutOfTime inside the block once it has used `seconds` of CPU time; in a main thread only.

    And again every 0.1 s: raised where Python ignores exceptions (a destructor, a cache's comparison) one is
    lost.
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
    """Inside the block `signal.alarm` counts CPU time: for libraries whose limits use it; in a main thread
    only."""

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
