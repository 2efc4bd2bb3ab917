r"""Verdicts of recipe `evalsuite` on mathematics: the last box decides, as a careful person would.

A function that worker processes call (`workers.py`). Only workers import this module: sympy takes seconds.
"""

import re
from typing import Any

from evalsuite.latex import boxes
from evalsuite.scoring.cpu_limit import OutOfTime, cpu_limit
from evalsuite.scoring.latex_expression import Unreadable
from evalsuite.scoring.math_reading import cleaned, read
from evalsuite.scoring.math_values import same

SHOWN = 1000
"""Characters of an extracted answer that are kept for people to read; all of it is judged."""
STEP_SECONDS = 10.0
"""CPU time for a comparison; one that exceeds it is not equal."""
_STATED = re.compile(r"\banswer\s*(?:is|:)\s*:?\s*(\$[^$]+\$|[^\n]+?)(?=\.?\s*(?:\n|\Z)|\.\s)", re.IGNORECASE)


def math_answer_verdict(gold: str, text: str) -> dict[str, Any]:
    """Whether the answer of a completion is the gold answer: the same text once cleaned, or the same
    value."""
    answer = final_answer(text)
    if answer is None:
        return {"correct": False, "extracted": None, "decided_by": "no answer"}
    right = boxes(gold)[-1].content if boxes(gold) else gold
    correct, decided_by = True, "text"
    if _compact(cleaned(right)) != _compact(cleaned(answer)):
        correct, decided_by = _same_value(right, answer), "value"
    return {"correct": correct, "extracted": cleaned(answer)[:SHOWN], "decided_by": decided_by}


def final_answer(text: str) -> str | None:
    r"""The content of the last box that closes; without a box, what stands after the last "the answer is"."""
    found = boxes(text)
    if found:
        return found[-1].content
    stated = _STATED.findall(text)
    return stated[-1] if stated else None


def _compact(text: str) -> str:
    return text.replace(" ", "")


def _same_value(gold: str, answer: str) -> bool:
    try:
        with cpu_limit(STEP_SECONDS):
            return same(read(gold), read(answer))
    except (OutOfTime, Unreadable):
        return False
