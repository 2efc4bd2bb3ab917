r"""Verdicts on mathematics, as functions that worker processes call (`workers.py`).

Each takes the gold answer or solution and a whole completion, and returns JSON values: `correct`, `extracted` (what
was judged, for people to read), `decided_by`, and `values`, further metrics by name. A step that exceeds its limit of
CPU time (math-verify: MATH_VERIFY_SECONDS, the older grader: 10 s) means "not equal", as in the references. The limits
use a signal: call these functions in a main thread only. What exceeds the worker's hard limit gets no verdict at all.

Only workers import this module: its libraries take seconds, which are no call's.
"""

from itertools import product
from typing import Any

from math_verify import parse, verify

from evalsuite.latex import extract_boxed
from evalsuite.scoring.cpu_limit import OutOfTime, cpu_limit
from evalsuite.scoring.math_grader import math_equal

MathVerdict = dict[str, Any]

SHOWN = 1000
"""Characters of an extracted answer that are kept for people to read; all of it is judged."""
MATH_VERIFY_SECONDS = 5.0
"""CPU time for each parse and each comparison (math-verify's default, of wall-clock time)."""
NOTHING = ["[invalid]"]
"""What a text becomes in which math-verify finds nothing: equal to another such text (nvidia-lm-eval
25.5)."""


def math_verdict(gold: str, text: str) -> MathVerdict:
    """Whether math-verify finds the gold answer in a whole completion.

    The rule of nvidia-lm-eval 25.5 for GSM8K: `verify(parse(gold), parse(text))` with defaults (LaTeX
    and plain expressions, boxed first).
    """
    parsed = _parsed(text)
    return {"correct": _same(_parsed(gold), parsed), "extracted": _shown(parsed), "decided_by": "math_verify"}


def nvidia_math_verdict(gold_solution: str, text: str) -> MathVerdict:
    r"""Either of two judges: math-verify on both whole texts, or the older grader on both last `\boxed{}`.

    The rule of nvidia-lm-eval 25.5 for MATH (`adlr_minerva_math_nemo/nemo_utils.py`), with its quirk: a gold
    solution and a completion in neither of which math-verify finds anything are equal. `decided_by` says which
    judge called the completion right: math_verify, math_grader, both or neither.
    """
    parsed = _parsed(text)
    boxed = extract_boxed(text)
    by_math_verify = _same(_parsed(gold_solution) or NOTHING, parsed or NOTHING)
    by_grader = math_equal(extract_boxed(gold_solution), boxed)
    judges = {(True, True): "both", (True, False): "math_verify", (False, True): "math_grader"}
    return {
        "correct": by_math_verify or by_grader,
        "extracted": _shown(parsed) if boxed is None else boxed[:SHOWN],
        "decided_by": judges.get((by_math_verify, by_grader), "neither"),
    }


def _parsed(text: str) -> list[Any]:
    """math-verify's readings of `text`; none where it takes too long. Its own limit, of wall-clock time, is
    off (0)."""
    try:
        with cpu_limit(MATH_VERIFY_SECONDS):
            return parse(text, parsing_timeout=0)
    except OutOfTime:
        return []


def _same(gold: list[Any], answer: list[Any]) -> bool:
    """Whether a reading of one equals a reading of the other by math-verify, whose limit is for each pair."""
    return any(_same_reading(*pair) for pair in product(gold, answer))


def _same_reading(gold: Any, answer: Any) -> bool:
    try:
        with cpu_limit(MATH_VERIFY_SECONDS):
            return bool(verify(gold, answer, timeout_seconds=0))
    except OutOfTime:
        return False


def _shown(parsed: list) -> str | None:
    """The last reading: the text as found, where math-verify keeps it."""
    try:
        return str(parsed[-1])[:SHOWN] if parsed else None
    except Exception:  # sympy cannot print it: an integer beyond Python's limit of digits
        return None
