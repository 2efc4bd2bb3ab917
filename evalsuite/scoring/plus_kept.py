"""Runs a solution on all inputs and keeps its results as text, so that they need not be computed for every
program.

Its text follows that of `plus_check.py` in a test script, and runs in the sandbox with nothing of evalsuite.
"""

import math
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from evalsuite.scoring.plus_check import is_right  # left out of the script, which has it

MOST_KEPT = 1 << 18
"""Characters of all results together; also the most values in them that are looked at."""
TRIAL_SECONDS = 1.0
"""CPU time in which the function that is right runs as well, and shows that it says the same twice."""


def agrees_and_keeps(
    candidate: Callable[..., Any],
    right: Callable[..., Any],
    inputs: Sequence[Sequence[Any]],
    atol: float,
    rule: str,
) -> str:
    """A list of the candidate's results as Python text; empty where they cannot be kept. Raises
    AssertionError.

    As `agrees_on_all`, for a candidate that is `right` itself: that runs a second time only for
    TRIAL_SECONDS, and from the first result on that cannot be kept.
    """
    kept: list[str] = []
    keeps, trial = True, 0.0
    for number, arguments in enumerate(inputs):
        result = candidate(*deepcopy(arguments))
        if keeps:
            kept.append(as_text(result))
            keeps = bool(kept[-1]) and sum(map(len, kept)) <= MOST_KEPT
        expected, began = result, time.process_time()
        if not keeps or trial < TRIAL_SECONDS:
            expected = right(*deepcopy(arguments))
        trial += time.process_time() - began
        assert is_right(result, expected, arguments, atol, rule), (
            f"call {number + 1}: {result!r:.80} is not {expected!r:.80}"
        )
    return f"[{', '.join(kept)}]" if keeps else ""


def as_text(value: Any) -> str:
    """A literal of just this value, in ASCII; empty where there is none, or only a very long one."""
    waiting, seen = [value], 0
    while waiting:
        one = waiting.pop()
        seen += 1
        if seen > MOST_KEPT or not has_literal(one):
            return ""
        if type(one) in (list, tuple):
            waiting += one
        elif type(one) is dict:
            waiting += [*one.keys(), *one.values()]
    try:
        text = ascii(value)
        compile(f"[[[{text}]]]", "", "eval")  # Brackets around it count, where it is nested deeply.
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # Too many digits, or nested too deeply.
        return ""
    return text if len(text) <= MOST_KEPT else ""


def has_literal(value: Any) -> bool:
    """Whether a value is written as Python reads it, where what it contains is."""
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) in (bool, int, str, bytes, list, tuple, dict)
