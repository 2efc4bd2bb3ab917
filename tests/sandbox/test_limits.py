"""CPU time is what counts."""

import pytest

from evalsuite.sandbox import Program, ProgramOutcome, SandboxFailed, program_cpu_limit

WORK = "def work():\n    return sum(i * i for i in range(2_000_000))\n"
TESTS = "assert work() == 2666664666667000000"


def test_a_limit_is_a_multiple_of_the_references_time_and_never_below_the_floor():
    assert program_cpu_limit(0.01) == 1.0
    assert program_cpu_limit(2.0) == 8.0
    assert program_cpu_limit(2.0, floor=10.0) == 10.0
    assert program_cpu_limit(2.0, factor=2.0) == 4.0


def test_a_reference_is_measured_here(sandbox):
    slow, quick, wrong = sandbox.calibrate(
        [
            Program(WORK, TESTS),
            Program("def f(): return 1", "assert f() == 1"),
            Program(WORK, "assert work() == 1"),
        ],
        floor=0.01,
        factor=2.0,
    )
    (verdict,) = sandbox.run([Program(WORK, TESTS)])
    assert 0.5 * verdict.cpu_seconds < slow.cpu_seconds / 2 < 2 * verdict.cpu_seconds
    assert quick.cpu_seconds < slow.cpu_seconds / 4
    assert (slow.mode, quick.mode) == ("compare", "compare")
    assert isinstance(wrong, SandboxFailed)
    assert "does not pass" in str(wrong)


def test_a_reference_over_the_most_time_has_no_limit(sandbox):
    (limit,) = sandbox.calibrate([Program("def f():\n    while True: pass", "f()")], most=0.2)
    assert isinstance(limit, SandboxFailed)


@pytest.mark.parametrize("mode", ["compare", "token"])
def test_a_fraction_of_a_second_is_a_limit(sandbox, mode):
    (verdict,) = sandbox.run([Program("def f():\n    while True: pass", "f()", mode=mode, cpu_seconds=0.25)])
    assert verdict.outcome is ProgramOutcome.TIMEOUT
    assert 0.25 <= verdict.cpu_seconds < 1.0
    assert "0.25 s of CPU time" in verdict.detail


def test_sleep_below_the_idle_limit_is_no_timeout(sandbox):
    code = "import time\ndef f():\n    time.sleep(1.5)\n    return 1"
    assert sandbox.run([Program(code, "assert f() == 1", cpu_seconds=0.2)])[0].passed


def test_tests_that_do_not_end_are_a_timeout(sandbox, monkeypatch):
    code = "def f():\n    while True:\n        yield 0"
    (verdict,) = sandbox.run([Program(code, "for _ in f(): pass", cpu_seconds=0.2)])
    assert verdict.outcome is ProgramOutcome.TIMEOUT
