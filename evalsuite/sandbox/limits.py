"""Time limits of programs.

They limit CPU time, not wall-clock time, so that a busy machine gives the same verdicts. A slow machine uses
more CPU time for the same work; `program_cpu_limit` therefore scales with the reference solution's time on
this machine (like EvalPlus, which scales wall-clock time). A program that neither ends nor computes is killed
after `idle_seconds`.
"""

FLOOR_SECONDS = 1.0
FACTOR = 4.0
TESTS_FLOOR_SECONDS = 30.0


def program_cpu_limit(
    reference_seconds: float, floor: float = FLOOR_SECONDS, factor: float = FACTOR
) -> float:
    """CPU limit in seconds for a program: max(floor, factor x `reference_seconds`)."""
    return max(floor, factor * reference_seconds)


def tests_limit(cpu_seconds: float) -> float:
    """CPU limit in seconds for the tests' process of a program with that limit."""
    return max(TESTS_FLOOR_SECONDS, 4 * cpu_seconds)


def idle_seconds(cpu_seconds: float) -> float:
    """Wall-clock seconds that a program may be idle; generous, since only sleeps and deadlocks reach it."""
    return 2.0 + 4 * cpu_seconds
