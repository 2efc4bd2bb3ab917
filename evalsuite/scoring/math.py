r"""Scores mathematics with functions that worker processes call (`workers.py`).

Each function takes the gold answer or solution and a whole completion, and returns JSON values: `correct`,
`extracted` (the judged answer, for people to read), `decided_by`, and `values`, additional metrics by name. A
step that exceeds its limit of CPU time (math-verify: MATH_VERIFY_SECONDS, the older grader: 10 s) means "not
equal", as in the references. The limits use a signal, so that these functions work only in a main thread. A
call that exceeds the worker's hard limit gets no verdict.

Only workers import this module: importing its libraries takes seconds, which no call's limit should include.
"""

from itertools import product
from typing import Any

from math_verify import parse, verify

from evalsuite.latex import extract_boxed
from evalsuite.scoring.cpu_limit import OutOfTime, cpu_limit
from evalsuite.scoring.math_grader import math_equal

MathVerdict = dict[str, Any]

SHOWN = 1000
"""Characters of an extracted answer to keep for people to read; the whole answer is judged."""
MATH_VERIFY_SECONDS = 5.0
"""CPU limit of each parse and each comparison (math-verify's default, which counts wall-clock time)."""
NOTHING = ["[invalid]"]
"""Stands for a text in which math-verify finds nothing; two such texts are equal (nvidia-lm-eval 25.5)."""


def math_verdict(gold: str, text: str) -> MathVerdict:
    """Whether math-verify finds the gold answer in a whole completion.

    This is the rule of nvidia-lm-eval 25.5 for GSM8K: `verify(parse(gold), parse(text))` with defaults (LaTeX
    and plain expressions, boxed first).
    """
    parsed = _parsed(text)
    return {"correct": _same(_parsed(gold), parsed), "extracted": _shown(parsed), "decided_by": "math_verify"}


def nvidia_math_verdict(gold_solution: str, text: str) -> MathVerdict:
    r"""Either of two judges: math-verify on both whole texts, or the older grader on both last `\boxed{}`.

    This is the rule of nvidia-lm-eval 25.5 for MATH (`adlr_minerva_math_nemo/nemo_utils.py`), with its quirk:
    if math-verify finds nothing in the gold solution and nothing in the completion, they are equal.
    `decided_by` names the judge that accepted the completion: math_verify, math_grader, both or neither.
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


def symbolic_verdict(gold: str, text: str) -> MathVerdict:
    """Whether math-verify finds the gold answer or solution in a whole completion, or nothing in both.

    This is the filter `symbolic_match` of nvidia-lm-eval 26.3 (`lm_eval/filters/math_verify.py`).
    """
    parsed = _parsed(text)
    correct = _same(_parsed(gold) or NOTHING, parsed or NOTHING)
    return {
        "correct": correct,
        "extracted": _shown(parsed),
        "decided_by": "symbolic_match",
        "values": {"symbolic_match": float(correct)},
    }


def _parsed(text: str) -> list[Any]:
    """math-verify's readings of `text`, or none after too long; its own wall-clock limit is off (0)."""
    try:
        with cpu_limit(MATH_VERIFY_SECONDS):
            readings: list[Any] = parse(text, parsing_timeout=0)
            return readings
    except OutOfTime:
        return []


def _same(gold: list[Any], answer: list[Any]) -> bool:
    """Whether math-verify finds a reading of each that are equal; its limit applies to each pair."""
    return any(_same_reading(*pair) for pair in product(gold, answer))


def _same_reading(gold: Any, answer: Any) -> bool:
    try:
        with cpu_limit(MATH_VERIFY_SECONDS):
            return bool(verify(gold, answer, timeout_seconds=0))
    except OutOfTime:
        return False


def _shown(parsed: list[Any]) -> str | None:
    """The last reading, which is the matched text if math-verify keeps it."""
    try:
        return str(parsed[-1])[:SHOWN] if parsed else None
    except Exception:  # sympy cannot print it: an integer beyond Python's limit of digits
        return None
