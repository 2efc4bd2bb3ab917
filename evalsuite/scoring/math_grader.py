r"""The older NeMo grader: one of the two judges behind the MATH numbers of the Nemotron-H cards.

Reproduces nvidia-lm-eval 25.5, `adlr_minerva_math_nemo/math_grader.py`, as it is called there, with the gold
answer first. It is lenient: numbers agree within 1e-4 and also at 1/100 and 100 times the value
(percentages), and an interval may end with the wrong bracket.
"""

import re
from collections.abc import Sequence
from math import isclose

from evalsuite.scoring.math_normal import Ambiguous, normalized
from evalsuite.scoring.math_symbols import agree_within

TOLERANCE = 1e-4
"""Relative difference within which two numbers are equal."""
LONGEST_GOLD = 1000
"""Characters of the gold answer that are compared."""

_NO_BRACKETS = str.maketrans("", "", "{}()")
_INTERVALS = {
    "Interval": ("[", "]"),
    "Interval.Ropen": ("[", ")"),
    "Interval.Lopen": ("(", "]"),
    "Interval.open": ("(", ")"),
}
"""Brackets of an interval by its name in sympy."""


def math_equal(gold: str | None, answer: str | None) -> bool:
    r"""Whether two answers are equal; the first rule that applies decides.

    1. equal text after normalization, ignoring case;
    2. two numbers: gold within TOLERANCE of the answer, of a hundredth or of a hundred times it;
    3. equal text without brackets and braces;
    4. the same outer brackets and equal element by element (if not, the rules go on);
    5. comma lists of equal length: equal element by element, in order;
    6. sympy: the difference simplifies to 0, or the values agree within TOLERANCE (`math_symbols`).

    A missing gold answer equals nothing, an empty one only an empty answer; a missing answer reads "None".
    The reference's rule for sympy's `Matrix` can never apply, that for `Point` only to a point of one
    coordinate; both are omitted. Works only in a main thread, since a signal limits rule 6.
    """
    try:
        return gold is not None and _equal(gold, answer)
    except Ambiguous:
        return False


def _equal(gold: str, answer: str | None) -> bool:
    gold = normalized(gold)[:LONGEST_GOLD]
    if answer is not None:
        answer = normalized(answer)
        if gold.strip().lower() == answer.strip().lower():
            return True
    answer = str(answer)
    numbers = _number(gold), _number(answer)
    if numbers[0] is not None and numbers[1] is not None:
        return _equal_numbers(numbers[0], numbers[1])
    return bool(gold) and _equal_forms(_interval_in_brackets(gold.strip()), answer.strip())


def _number(text: str) -> float | None:
    try:
        return float(text.replace("{,}" if "{,}" in text else ",", ""))
    except ValueError:
        return None


def _equal_numbers(gold: float, answer: float) -> bool:
    return any(isclose(value, gold, rel_tol=TOLERANCE) for value in (answer / 100, answer, answer * 100))


def _interval_in_brackets(text: str) -> str:
    """`Interval.Ropen(0,1)` as `[0,1)`."""
    interval = re.match(r"(Interval(?:\.[RL]?open)?)\((.*)\)$", text)
    if not interval:
        return text
    left, right = _INTERVALS[interval.group(1)]
    return left + interval.group(2) + right


def _equal_forms(gold: str, answer: str) -> bool:
    """Rules 3 to 6."""
    if _equal_without_brackets(gold, answer):
        return True
    if _same_outer_brackets(gold, answer):
        elements, others = gold[1:-1].split(","), answer[1:-1].split(",")
        if _equal_elements(elements, others):
            return True
    if "," in gold and gold.count(",") == answer.count(","):
        elements, others = ([part.strip() for part in text.split(",")] for text in (gold, answer))
        return _equal_elements(elements, others)
    return agree_within(gold, answer, TOLERANCE)


def _equal_without_brackets(gold: str, answer: str) -> bool:
    """Rule 3; square brackets go only if gold has brackets and the answer opens with no other kind."""
    for brackets, other in (("[]", "("), ("()", "[")):
        if gold.startswith(brackets[0]) and gold.endswith(brackets[1]) and not answer.startswith(other):
            gold, answer = gold.strip("[]()"), answer.strip("[]()")
            break
    return gold.translate(_NO_BRACKETS) == answer.translate(_NO_BRACKETS)


def _same_outer_brackets(gold: str, answer: str) -> bool:
    outer = gold[:1], gold[-1:]
    return outer[0] in ("(", "[") and outer[1] in (")", "]") and outer == (answer[:1], answer[-1:])


def _equal_elements(gold: Sequence[str], answer: Sequence[str]) -> bool:
    return len(gold) == len(answer) and all(_equal(*pair) for pair in zip(gold, answer, strict=True))
