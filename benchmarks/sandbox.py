"""Measures how many programs a minute the sandbox judges, and the CPU time of each.

    python benchmarks/sandbox.py [--tier namespaces] [--workers 2] [--programs 2000] [--mode compare]
    chrt -r 1 python benchmarks/sandbox.py    # as root, on a shared machine: has priority over other work

Each program is a small function with three assertions, like HumanEval's. Prints the Markdown table in
docs/sandbox.md. CPU time is the sum over caller, workers and programs, so other work on the machine does not
change it; programs a minute do change.
"""

import argparse
import os
import resource
import time

from evalsuite.sandbox import Program, open_sandbox

CODE = '''
from typing import List


def intersperse(numbers: List[int], delimiter: int) -> List[int]:
    """Insert a number between every two consecutive elements."""
    result = []
    for number in numbers[:-1]:
        result += [number, delimiter]
    return result + numbers[-1:]
'''
TESTS = """
def check(candidate):
    assert candidate([], 7) == []
    assert candidate([5, 6, 3, 2], 8) == [5, 8, 6, 8, 3, 8, 2]
    assert candidate([2, 2, 2], 2) == [2, 2, 2, 2, 2]


check(intersperse)
"""


def measure(tier: str | None, workers: int, programs: int, mode: str) -> str:
    """A row of the table."""
    program = Program(CODE, TESTS, mode=mode)
    with open_sandbox(workers=workers, tier=tier, allow_unsafe=True) as sandbox:
        sandbox.run([program] * workers)
    opening = _children_seconds()
    with open_sandbox(workers=workers, tier=tier, allow_unsafe=True) as sandbox:
        sandbox.run([program] * workers)
        own, start = time.process_time(), time.perf_counter()
        verdicts = sandbox.run([program] * programs)
        wall = time.perf_counter() - start
        own = time.process_time() - own
        name = sandbox.tier.name
    total = own + _children_seconds() - 2 * opening
    assert all(verdict.passed for verdict in verdicts), verdicts
    # Bubblewrap does not tell what its processes have used.
    cpu = "not known" if name == "bubblewrap" else f"{1000 * total / programs:.1f}"
    load = os.getloadavg()[0]
    return (
        f"| {name} | {mode} | {workers} | {60 * programs / wall:,.0f} | "
        f"{1000 * wall * workers / programs:.1f} | {cpu} | {load:.1f} |"
    )


def _children_seconds() -> float:
    """CPU time of the workers that have ended, and of all their programs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tier")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--mode", default="compare", choices=["auto", "compare", "token"])
    chosen = parser.parse_args()
    print("| tier | mode | workers | programs a minute | ms each | CPU ms each | load of the machine |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    print(measure(chosen.tier, chosen.workers, chosen.programs, chosen.mode))


if __name__ == "__main__":
    main()
