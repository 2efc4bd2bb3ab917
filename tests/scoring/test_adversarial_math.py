"""Answers made to break the mathematical scorer: each ends within its limit of CPU time, and none ends the
others."""

import resource
from collections import Counter

import pytest

from evalsuite.scoring.workers import ScorerFailed, call_all
from tests.scoring.adversarial import answers

NVIDIA = "evalsuite.scoring.math:nvidia_math_verdict"
WORKERS = 2
START = 10.0
"""Seconds of CPU time that a new process may need."""


def children_seconds() -> float:
    """CPU time of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def judged(pairs: list[tuple[str, str]], limit: float) -> Counter:
    """Verdicts by what decided; the calls without one are counted as failed."""
    began = children_seconds()
    verdicts = call_all(NVIDIA, [*pairs, (r"\boxed{2}", r"\boxed{2}")], limit=limit, workers=WORKERS)
    seconds = children_seconds() - began
    failures = [one for one in verdicts if isinstance(one, ScorerFailed)]
    counts = Counter("failed" if isinstance(one, ScorerFailed) else one["decided_by"] for one in verdicts)
    print(f"{len(pairs)} answers in {seconds:.0f} s: {dict(counts)}", dict(Counter(map(str, failures))))
    assert len(verdicts) == len(pairs) + 1
    assert verdicts[-1] == {"correct": True, "extracted": "2", "decided_by": "both"}
    assert seconds < (len(pairs) + 1) * (limit + 1) + START * (len(failures) + WORKERS)
    assert all(
        one.args[0].startswith(("the scorer used up", "the scorer raised", "the scorer's process"))
        for one in failures
    )
    return counts


def test_a_few_of_each_kind_end_in_time():
    judged(answers(11, seed=5, megabytes=1), limit=1.5)


@pytest.mark.slow
def test_a_thousand_end_in_time():
    counts = judged(answers(1000, seed=0, megabytes=20), limit=10.0)
    assert counts["neither"] > 500
