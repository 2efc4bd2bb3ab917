"""Values of mathematical answers (number, equation, interval, list, matrix, word), and their equality.

Numbers are compared exactly, other constants to 40 digits, expressions with variables at several points.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sympy

from evalsuite.scoring.latex_expression import Unreadable

DIGITS = 50
"""Decimal digits of computed constants."""
_CLOSE = sympy.Float("1e-35", DIGITS)
_POINTS = ((2, 3, 5, 7, 11, 13, 17, 19), (-3, 7, 11, -5, 13, 2, 23, 29), (5, -2, 17, 3, -19, 31, 7, 11))
"""Values of the variables in alphabetical order, divided by 7 and 13, so that no step function hides them."""


@dataclass(frozen=True)
class Value:
    """The value of an answer."""

    kind: Literal["expression", "equation", "interval", "tuple", "set", "union", "matrix", "based", "text"]
    items: tuple[Any, ...] = ()
    """An expression, an equation's sides, a collection's values, a matrix's rows, or digits and base."""
    brackets: str = ""
    """Brackets of a tuple or interval; for an expression that is a plain numeral, its digits."""
    unit: str = ""


def same_value(gold: Value, answer: Value) -> bool:
    """Whether a person would consider both the same answer."""
    if not _same_unit(gold.unit, answer.unit):
        return False
    gold, answer = _alike(gold, answer)
    if gold.kind != answer.kind:
        return False
    compare = {
        "expression": lambda: _same_number(gold, answer),
        "equation": lambda: _same_equation(gold.items, answer.items),
        "interval": lambda: gold.brackets == answer.brackets and _in_order(gold.items, answer.items),
        "tuple": lambda: gold.brackets == answer.brackets and _in_order(gold.items, answer.items),
        "set": lambda: _in_any_order(gold.items, answer.items),
        "union": lambda: _in_any_order(gold.items, answer.items),
        "matrix": lambda: (
            len(gold.items) == len(answer.items)
            and all(_in_order(*pair) for pair in zip(gold.items, answer.items, strict=True))
        ),
        "based": lambda: gold.items == answer.items,
        "text": lambda: gold.items == answer.items,
    }
    return compare[gold.kind]()


def _same_unit(gold: str, answer: str) -> bool:
    """Whether the units agree; a missing unit agrees with any, "units" with any of the same power."""
    if not (gold and answer) or gold == answer:
        return True
    (first, _, power), (second, _, other) = gold.partition("^"), answer.partition("^")
    return "unit" in (first, second) and power == other


def _alike(gold: Value, answer: Value) -> tuple[Value, Value]:
    """Both in a common form, without differences that a person would ignore."""
    if gold.kind == "based" and answer.kind == "expression" and answer.brackets == gold.items[0]:
        return gold, gold  # the question names the base
    if answer.kind == "based" and answer.items[1] == "10" and gold.kind == "expression":
        return Value("text", (gold.brackets,)), Value("text", (answer.items[0],))
    if gold.kind == "equation" and answer.kind != "equation" and _names(gold.items[0]):
        gold = gold.items[1]
    elif answer.kind == "equation" and gold.kind != "equation":
        answer = answer.items[1]
    if "interval" in (gold.kind, answer.kind) and "tuple" in (gold.kind, answer.kind):
        pair = [
            value if value.kind == "interval" else Value("interval", value.items, value.brackets)
            for value in (gold, answer)
        ]
        return (pair[0], pair[1]) if len(gold.items) == len(answer.items) == 2 else (gold, answer)
    if gold.kind == "tuple" and answer.kind == "set" and not answer.brackets:
        named = [item for item in answer.items if item.kind == "equation"]
        items = tuple(item.items[1] for item in named) if len(named) == len(answer.items) else answer.items
        return gold, Value("tuple", items, gold.brackets)
    if "tuple" in (gold.kind, answer.kind) and "matrix" in (gold.kind, answer.kind):
        return _as_tuple(gold), _as_tuple(answer)
    if {gold.kind, answer.kind} == {"set", "union"}:
        return Value("union", gold.items), Value("union", answer.items)
    if {gold.kind, answer.kind} == {"set", "expression"}:
        return _as_set(gold), _as_set(answer)
    return gold, answer


def _names(side: Value) -> bool:
    """Whether the left side names the unknown: a variable, f(x)."""
    return side.kind == "text" or (side.kind == "expression" and not side.items[0].is_number)


def _as_tuple(value: Value) -> Value:
    """A column as a tuple."""
    if value.kind == "matrix" and all(len(row) == 1 for row in value.items):
        return Value("tuple", tuple(row[0] for row in value.items), "()")
    return value


def _as_set(value: Value) -> Value:
    return value if value.kind == "set" else Value("set", (value,))


def _in_order(gold: Sequence[Value], answer: Sequence[Value]) -> bool:
    return len(gold) == len(answer) and all(same_value(*pair) for pair in zip(gold, answer, strict=True))


def _in_any_order(gold: Sequence[Value], answer: Sequence[Value]) -> bool:
    gold, answer = _distinct(gold), _distinct(answer)
    if len(gold) != len(answer):
        return False
    left = list(answer)
    for value in gold:
        match = next((index for index, other in enumerate(left) if same_value(value, other)), None)
        if match is None:
            return False
        del left[match]
    return True


def _distinct(values: Sequence[Value]) -> list[Value]:
    kept: list[Value] = []
    for value in values:
        if not any(same_value(value, other) for other in kept):
            kept.append(value)
    return kept


def _same_number(gold: Value, answer: Value) -> bool:
    first, second = gold.items[0], answer.items[0]
    if same_expression(first, second):
        return True
    if "percent" in (gold.unit, answer.unit) and gold.unit != answer.unit:
        if gold.unit == "percent":
            return same_expression(first / 100, second)
        return same_expression(first, second / 100)
    return False


def _same_equation(gold: Sequence[Value], answer: Sequence[Value]) -> bool:
    """Whether the sides are equal, or both equations set the same expression to zero, up to a factor."""
    if all(same_value(*pair) for pair in zip(gold, answer, strict=True)):
        return True
    if any(side.kind != "expression" for side in (*gold, *answer)):
        return False
    first, second = (sides[0].items[0] - sides[1].items[0] for sides in (gold, answer))
    if first.free_symbols != second.free_symbols or not first.free_symbols:
        return False
    ratio = first / second
    points = _values_at_points(ratio)
    return len(points) > 1 and points[0] != 0 and all(_close(points[0], other) for other in points[1:])


def same_expression(first: Any, second: Any) -> bool:
    """Whether two numbers are equal, or two expressions agree at all test points."""
    if first == second:
        return True
    if first.is_Rational and second.is_Rational:
        return False
    if not (first.is_finite is not False and second.is_finite is not False):
        return False
    if first.free_symbols != second.free_symbols and not (first - second).free_symbols:
        return bool(sympy.simplify(first - second) == 0)
    pairs = [
        (one, other)
        for one, other in zip(_at_points(first, second), _at_points(second, first), strict=True)
        if one is not None and other is not None
    ]
    return bool(pairs) and all(_close(one, other) for one, other in pairs)


def _symbols(*expressions: Any) -> list[Any]:
    return sorted(set().union(*(one.free_symbols for one in expressions)), key=str)


def _at_points(value: Any, beside: Any) -> list[Any]:
    symbols = _symbols(value, beside)
    if len(symbols) > len(_POINTS[0]):
        raise Unreadable("too many variables")
    points = _POINTS if symbols else _POINTS[:1]
    return [_number_at(value, symbols, point) for point in points]


def _values_at_points(value: Any) -> list[Any]:
    return [one for one in _at_points(value, value) if one is not None]


def _number_at(value: Any, symbols: Sequence[Any], point: Sequence[int]) -> Any:
    """The value at one point to DIGITS digits; None if it is undefined."""
    at = {
        symbol: sympy.Rational(number, 7 if place % 2 else 13)
        for place, (symbol, number) in enumerate(zip(symbols, point, strict=False))
    }
    found = sympy.N(value.subs(at), DIGITS)
    return found if found.is_number and found.is_finite else None


def _close(first: Any, second: Any) -> bool:
    scale = max(abs(first), abs(second))
    return bool(scale == 0 or abs(first - second) <= _CLOSE * scale)
