"""Compares a candidate's results with the reference solution's, input by input, by EvalPlus's rules.

Its text is part of the test scripts of `evalplus.py` and runs in the sandbox, where nothing of evalsuite can be
imported. Source of the rules: evalplus 0.3.1, eval/__init__.py and eval/_special_oracle.py.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

import numpy


def agrees_on_all(
    candidate: Callable[..., Any],
    reference: Callable[..., Any],
    inputs: Iterable[Sequence[Any]],
    atol: float,
    rule: str,
) -> None:
    """Raises AssertionError at the first input on which the candidate is wrong.

    Args:
        candidate: the function under test.
        reference: a function that is right.
        inputs: positional arguments of each call.
        atol: absolute tolerance; 0 becomes 1e-6 from the first input on whose result is a float.
        rule: what else than an equal result is right, or is asked instead.
    """
    for arguments in inputs:
        expected = reference(*deepcopy(arguments))
        result = candidate(*arguments)
        if rule == "a_root":
            assert abs(polynomial_at(arguments[0], result)) <= atol
            continue
        if atol == 0 and are_floats(expected):
            atol = 1e-6
        if not meets_rule(result, expected, arguments, atol, rule):
            assert atol != 0, f"{result!r:.80} is not {expected!r:.80}"
            assert is_close(result, expected, atol), f"{result!r:.80} is not close to {expected!r:.80}"


def meets_rule(result: Any, expected: Any, arguments: Sequence[Any], atol: float, rule: str) -> bool:
    """Whether the result is right without a tolerance."""
    match rule:
        case "equal_sets":
            return set(result) == set(expected)
        case "found_or_not":
            found = expected is not None
            return result == found if isinstance(result, bool) else (result is not None) == found
        case "digits_apart":
            return result == expected or result == digits_apart(*arguments)
        case "pyramid_surface":
            return result == expected or abs(result - pyramid_surface(*arguments)) <= atol
    return result == expected


def are_floats(value: Any) -> bool:
    """A float, a filled list or tuple of floats, or an array of them."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(one, float) for one in value)
    if isinstance(value, numpy.ndarray):
        return value.dtype in (numpy.float64, numpy.float32)
    return isinstance(value, float)


def is_close(result: Any, expected: Any, atol: float) -> bool:
    """Equal types and lengths, and all numbers within the tolerance."""
    if type(result) is not type(expected):
        return False
    if isinstance(expected, (list, tuple)) and len(result) != len(expected):
        return False
    return bool(numpy.allclose(result, expected, rtol=1e-07, atol=atol))


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
