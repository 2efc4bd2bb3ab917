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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_swallows_one_signal_meets_the_next():
    class Deaf:
        def __del__(self):
            spin(0.6)  # an exception in a destructor is lost

    with pytest.raises(OutOfTime), cpu_limit(0.2):
        while True:
            Deaf()


def test_libraries_that_catch_every_exception_do_not_catch_it():
    with pytest.raises(OutOfTime), cpu_limit(0.2):
        while True:
            try:
                spin(1)
            except Exception:
                continue


def test_handler_and_timer_are_as_before():
    before = signal.getsignal(signal.SIGPROF)
    with pytest.raises(OutOfTime), cpu_limit(0.05):
        spin(30)
    assert signal.getsignal(signal.SIGPROF) == before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    spin(0.3)
