"""Work ends at its CPU time; waiting does not count, and nothing is left behind."""

import signal
import time

import pytest

from evalsuite.scoring.cpu_limit import OutOfTime, cpu_limit


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_work_beyond_the_limit_ends():
    began = time.process_time()
    with pytest.raises(OutOfTime), cpu_limit(0.2):
        spin(30)
    assert 0.1 < time.process_time() - began < 2


def test_work_within_the_limit_is_left_alone():
    with cpu_limit(5):
        spin(0.05)


def test_waiting_is_no_work():
    with cpu_limit(0.3):
        time.sleep(0.8)


def deaf() -> None:
    class Deaf:
        def __del__(self):
            spin(0.3)  # an exception in a destructor is lost

    Deaf()
    spin(30)


def stubborn() -> None:
    for _ in range(100):
        try:
            spin(30)
        except Exception:
            continue


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("work", [deaf, stubborn])
def test_what_swallows_exceptions_ends_too(work):
    began = time.process_time()
    with pytest.raises(OutOfTime), cpu_limit(0.2):
        work()
    assert time.process_time() - began < 2


def test_handler_and_timer_are_as_before():
    before = signal.getsignal(signal.SIGPROF)
    with pytest.raises(OutOfTime), cpu_limit(0.05):
        spin(30)
    assert signal.getsignal(signal.SIGPROF) == before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    spin(0.3)
