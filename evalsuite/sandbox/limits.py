"""How long a program may run.

CPU time is measured, not time on the clock, so that a loaded machine gives the same verdicts. A slow machine
uses more CPU time for the same work: `cpu_limit` therefore scales with the time of the reference solution
here (after EvalPlus, which scales time on the clock). A program that neither ends nor computes is ended after
`idle_seconds` without work.
"""

FLOOR_SECONDS = 1.0
FACTOR = 4.0
TESTS_FLOOR_SECONDS = 30.0


def cpu_limit(reference_seconds: float, floor: float = FLOOR_SECONDS, factor: float = FACTOR) -> float:
    """CPU seconds for a program whose reference solution used `reference_seconds`: max(floor, factor x
    reference)."""
    return max(floor, factor * reference_seconds)


def tests_limit(cpu_seconds: float) -> float:
    """CPU seconds for the tests' own process of a program with that limit."""
    return max(TESTS_FLOOR_SECONDS, 4 * cpu_seconds)


def idle_seconds(cpu_seconds: float) -> float:
    """Seconds on the clock that a program may do nothing: generous, since only sleepers and dead locks meet
    it."""
    return 2.0 + 4 * cpu_seconds
