"""Compares a candidate's results with what is right, call by call: kinds and lengths before values.

Its text is part of the test scripts of `humaneval.py`, `mbpp.py` and `evalplus.py` and runs in the sandbox,
where nothing of evalsuite can be imported. Tolerances and the rules of single problems are those of evalplus
0.3.1 (eval/__init__.py and eval/_special_oracle.py); how two values are compared is stricter there in places,
and in others less so (docs/grading.md).
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy


def agrees_on_all(
    candidate: Callable[..., Any],
    right: Callable[..., Any] | Sequence[Any],
    inputs: Sequence[Sequence[Any]],
    atol: float,
    rule: str,
) -> None:
    """Raises AssertionError at the first input on which the candidate is wrong.

    Args:
        candidate: the function under test; it gets a copy of the arguments of each call.
        right: a function that is right, or its results.
        inputs: positional arguments of each call.
        atol: absolute tolerance of the problem; where it has none, results with floats have 1e-6.
        rule: what else than an equal result is right, or is asked instead.
    """
    for number, arguments in enumerate(inputs):
        expected = right(*deepcopy(arguments)) if callable(right) else right[number]
        result = candidate(*deepcopy(arguments))
        assert is_right(result, expected, arguments, atol, rule), (
            f"call {number + 1}: {result!r:.80} is not {expected!r:.80}"
        )


def is_right(result: Any, expected: Any, arguments: Sequence[Any], atol: float, rule: str) -> bool:
    """Whether the result of a call with these arguments is right."""
    match rule:
        case "a_root":
            return is_real(result) and abs(polynomial_at(arguments[0], result)) <= atol
        case "found_or_not":
            found = expected if isinstance(expected, bool) else expected is not None
            return bool(result) == found
        case "equal_sets":
            return not isinstance(result, (str, bytes, dict)) and set(result) == set(expected)
        case "digits_apart":
            return same(result, expected, atol) or same(result, digits_apart(*arguments), atol)
        case "pyramid_surface":
            return same(result, expected, atol) or same(result, pyramid_surface(*arguments), atol)
    return same(result, expected, atol)


def same(result: Any, expected: Any, atol: float) -> bool:
    """Whether two values are of one kind, of one length, and equal; numbers within a tolerance where floats
    are right.

    As Python has it, 1, 1.0 and True are equal. A scalar of numpy is the number that it is, an array no list.
    """
    result, expected = plain_scalar(result), plain_scalar(expected)
    if isinstance(expected, (int, float, complex)):
        return isinstance(result, (int, float, complex)) and same_number(result, expected, atol)
    if equal_at_once(result, expected):
        return True
    if isinstance(expected, list):
        return isinstance(result, list) and same_parts([*list.__iter__(result)], expected, atol)
    if isinstance(expected, tuple):
        return isinstance(result, tuple) and same_parts([*tuple.__iter__(result)], expected, atol)
    if isinstance(expected, dict):
        return isinstance(result, dict) and same_items(result, expected, atol)
    if isinstance(expected, (set, frozenset)):
        return isinstance(result, (set, frozenset)) and bool(result == expected)
    if type(result) is not type(expected):
        return False
    if isinstance(expected, numpy.ndarray):
        return result.shape == expected.shape and same(result.tolist(), expected.tolist(), atol)
    return bool(result == expected)


def equal_at_once(result: Any, expected: Any) -> bool:
    """Whether two lists or two tuples of scalars, or of lists or tuples of scalars, are equal; quick for
    millions."""
    if type(result) is not type(expected) or type(result) not in (list, tuple):
        return False
    kinds = set(map(type, result))
    if kinds in ({list}, {tuple}):
        kinds = set(map(type, chain.from_iterable(result)))
    return kinds <= {int, float, str, bool, type(None)} and bool(result == expected)


def same_parts(result: list[Any], expected: Sequence[Any], atol: float) -> bool:
    """Whether two lists have equal lengths and the same parts."""
    return len(result) == len(expected) and all(
        same(*pair, atol) for pair in zip(result, expected, strict=True)
    )


def same_items(result: dict[Any, Any], expected: dict[Any, Any], atol: float) -> bool:
    """Whether two dicts have equal keys, in an order where both have one, and the same values."""
    if isinstance(result, OrderedDict) and isinstance(expected, OrderedDict) and [*result] != [*expected]:
        return False
    return len(result) == len(expected) and all(
        key in result and same(result[key], value, atol) for key, value in expected.items()
    )


def same_number(result: complex, expected: complex, atol: float) -> bool:
    """Whether two numbers are equal, or close where a float is right or the problem has a tolerance."""
    if result == expected:
        return True
    if isinstance(result, bool) or isinstance(expected, bool):
        return False
    if isinstance(expected, int) and (isinstance(result, int) or not atol):
        return False
    if isinstance(result, complex) and not isinstance(expected, complex):
        return False
    if result != result or expected != expected:  # not a number
        return result != result and expected != expected
    try:
        return abs(result - expected) <= (atol or 1e-6) + 1e-07 * abs(expected) < math.inf
    except OverflowError:  # an integer beyond all floats
        return False


def plain_scalar(value: Any) -> Any:
    """A scalar of numpy as Python's; anything else as it is."""
    return value.item() if isinstance(value, numpy.generic) else value


def is_real(value: Any) -> bool:
    """A number, of Python or numpy, and no truth value."""
    value = plain_scalar(value)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def polynomial_at(coefficients: Sequence[float], x: float) -> float:
    """Value of the polynomial whose lowest coefficient comes first."""
    return sum(one * math.pow(x, power) for power, one in enumerate(coefficients))


def digits_apart(one: int, other: int) -> int:
    """Sum of the differences digit by digit, the shorter number filled up with zeros."""
    width = max(len(str(one)), len(str(other)))
    digits = zip(str(one).zfill(width), str(other).zfill(width), strict=True)
    return sum(abs(int(left) - int(right)) for left, right in digits)


def pyramid_surface(base_edge: float, height: float) -> int:
    """Of a square pyramid, with `height` read as the distance from base to apex."""
    return round(base_edge**2 + 2 * base_edge * math.hypot(base_edge / 2, height))
