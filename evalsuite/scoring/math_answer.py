r"""Scores mathematics in recipe `evalsuite`: the last box decides, as for a careful reader.

Worker processes call this function (`workers.py`). Only workers import this module: importing sympy takes
seconds.
"""

import re
from typing import Any

from evalsuite.latex import boxes
from evalsuite.scoring.cpu_limit import OutOfTime, cpu_limit
from evalsuite.scoring.latex_expression import Unreadable
from evalsuite.scoring.math_reading import cleaned, read
from evalsuite.scoring.math_values import same_value
from evalsuite.scoring.statement import stated_answers

ANSWER_SHOWN = 1000
"""Characters of an extracted answer to keep for people to read; the whole answer is judged."""
STEP_SECONDS = 10.0
"""CPU limit of a comparison; answers are not equal if it is exceeded."""
_INTRODUCTION = re.compile(
    r"[\s:*_]*(?:(?:therefore|thus|hence|then|so|simply|just|indeed|clearly|given by|equal to)\b[\s,:]*)*",
    re.IGNORECASE,
)
"""Words between "the answer is" and the answer."""
_REASON = re.compile(r"(?:,\s*|\s+)(?:since|because|as|so|which|where|when|for|by)\b|\s*[*_]+\s*\Z")
"""Text after an answer that is not part of it: a reason, or the end of bold or italic text."""
_FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$]+\$|\\\(.+?\\\)|\\\[.+?\\\]", re.DOTALL)


def math_answer_verdict(gold: str, text: str) -> dict[str, Any]:
    """Whether a completion's answer equals the gold answer, as cleaned text or as a value."""
    answer = final_answer(text)
    if answer is None:
        return {"correct": False, "extracted": None, "decided_by": "no answer"}
    right = boxes(gold)[-1].content if boxes(gold) else gold
    correct, decided_by = True, "text"
    if _compact(cleaned(right)) != _compact(cleaned(answer)):
        correct, decided_by = _same_value(right, answer), "value"
    return {"correct": correct, "extracted": cleaned(answer)[:ANSWER_SHOWN], "decided_by": decided_by}


def final_answer(text: str) -> str | None:
    r"""The content of the last closed box, or else the answer that the last "the answer is" states."""
    found = boxes(text)
    if found:
        return found[-1].content
    stated = reversed(stated_answers(text))
    return next((answer for span in stated if (answer := _answer_in(text, *span))), None)


def _answer_in(text: str, start: int, end: int) -> str:
    """The answer in the statement `text[start:end]`, without introduction, reason and markup."""
    start = _INTRODUCTION.match(text, start, end).end()  # type: ignore[union-attr]  # it matches nothing, too
    behind = start
    if formula := _FORMULA.match(text, start):  # a sentence ends behind a formula, and so does a reason begin
        behind = formula.end()
    end = max(end, behind)
    if reason := _REASON.search(text, behind, end):
        end = reason.start()
    return text[start:end].strip()


def _compact(text: str) -> str:
    return text.replace(" ", "")


def _same_value(gold: str, answer: str) -> bool:
    try:
        with cpu_limit(STEP_SECONDS):
            return same_value(read(gold), read(answer))
    except (OutOfTime, Unreadable):
        return False
