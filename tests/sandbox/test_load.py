"""The number of workers and the load of the machine change no verdict."""

import multiprocessing
import os

import pytest

from evalsuite.sandbox import Program, open_sandbox

WORK = "def f(n):\n    total = 0\n    for i in range(n):\n        total += i\n    return total\n"
PROGRAMS = [
    *(Program(f"def f(x): return x * {number}", "assert f(2) == 6 and f(0) == 0") for number in range(1, 9)),
    *(
        Program(WORK, f"assert f({n}) == {n * (n - 1) // 2}", cpu_seconds=1.5)
        for n in (10**5, 10**6, 6 * 10**6)
    ),
    *(Program(WORK, "f(10 ** 9)", cpu_seconds=limit) for limit in (0.2, 0.4)),
    Program("import os\ndef f(): os._exit(0)", "f()"),
    Program("def f(): return bytearray(1 << 33)", "f()"),
    Program("import time\ndef f():\n    time.sleep(0.5)\n    return 1", "assert f() == 1", cpu_seconds=0.5),
    # Waiting for its turn at each of many calls, it uses little of a core, and is not idle.
    Program("def f(x): return x + 1", "for x in range(10000): assert f(x) == x + 1"),
    Program("import ctypes\ndef f(): return ctypes.CDLL(None).ptrace(0, 0, 0, 0)", "f()"),
]
OUTCOMES = [
    *("passed" if number == 3 else "failed" for number in range(1, 9)),
    *(
        "passed",
        "passed",
        "passed",
        "timeout",
        "timeout",
        "exited",
        "memory",
        "passed",
        "passed",
        "violation",
    ),
]


def outcomes(workers):
    with open_sandbox(workers=workers) as sandbox:
        return [verdict.outcome.value for verdict in sandbox.run(PROGRAMS)]


def spin():
    while True:
        pass


@pytest.mark.parametrize("workers", [1, 8])
def test_the_number_of_workers_changes_no_verdict(workers):
    assert outcomes(workers) == OUTCOMES


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 8])
def test_a_loaded_machine_changes_no_verdict(workers):
    load = [
        multiprocessing.get_context("spawn").Process(target=spin, daemon=True)
        for _ in range(2 * os.cpu_count())
    ]
    for process in load:
        process.start()
    try:
        assert outcomes(workers) == OUTCOMES
    finally:
        for process in load:
            process.kill()
            process.join()
