"""Whether two answers are the same expression, by sympy, without running what they say.

sympy reads plain text with Python's `eval`. An answer is written by a model, so only what is arithmetic over
sympy's mathematics is evaluated here; anything else counts as text that sympy cannot read.
"""

import ast
import builtins
import re
from collections.abc import Callable
from functools import lru_cache
from math import isclose
from types import BuiltinFunctionType
from typing import Any

from evalsuite.scoring.cpu_limit import OutOfTime, cpu_limit

STEP_SECONDS = 10.0
"""CPU time that one step may take (nvidia-lm-eval 25.5: as much wall-clock time)."""

_ARITHMETIC = (
    *(ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Call),
    *(ast.UnaryOp, ast.BinOp, ast.Compare, ast.BoolOp, ast.unaryop, ast.operator, ast.cmpop, ast.boolop),
)
_BUILTINS = frozenset({"abs", "divmod", "max", "min", "pow", "round", "sum"})
_NO_MATHEMATICS = ("interactive", "parsing", "plotting", "printing", "testing", "utilities")
"""Packages of sympy whose functions read, write or run text."""
_ACTIONS = ("doctest", "test", "var")
_NAME_OR_NUMBER = re.compile(r"[\w.+-]*")
"""The strings that sympy's reader writes: arguments of Symbol, Function, Float, Integer and Rational."""


_FAILED = object()


class Unreadable(ValueError):
    """Text that is no arithmetic."""


def same_expression(gold: str, answer: str, tolerance: float) -> bool:
    """The difference of the two simplifies to 0, or their values agree within the relative `tolerance`.

    The last rule of the older NeMo grader (nvidia-lm-eval 25.5, math_grader.py, `symbolic_equal`): each text
    is read as Python arithmetic, else as LaTeX; every step that fails or exceeds STEP_SECONDS is passed over.
    Uses a signal of the CPU clock: call it in a main thread only.
    """
    import sympy

    one, other = _read(gold), _read(answer)
    return (
        _tried(lambda: sympy.simplify(one - other) == 0) is True
        or _tried(lambda: isclose(_value(one), _value(other), rel_tol=tolerance)) is True
    )


def _read_arithmetic(text: str) -> Any:
    """`text` as sympy's `parse_expr` reads it; raises Unreadable, or whatever Python raises for it."""
    from sympy.parsing.sympy_parser import standard_transformations

    return _evaluated(text, standard_transformations)


def _read(text: str) -> Any:
    """An expression, or the text itself where neither reading works."""
    from sympy.parsing.latex import parse_latex

    for reading in (_read_arithmetic, parse_latex):
        if (found := _tried(reading, text)) is not _FAILED:
            return found
    return text


def _value(expression: Any) -> Any:
    """Its number to 15 digits; text gets sympy's other reading, in which ^ is a power."""
    import sympy
    from sympy.parsing import sympy_parser

    if isinstance(expression, str):
        rules = (*sympy_parser.standard_transformations, sympy_parser.rationalize, sympy_parser.convert_xor)
        expression = _evaluated(expression.replace("\n", ""), rules)
    return sympy.N(expression)


def _tried(step: Callable[..., Any], *arguments: Any) -> Any:
    """What `step` gives; _FAILED if it raises or takes too long."""
    try:
        with cpu_limit(STEP_SECONDS):
            return step(*arguments)
    except (Exception, OutOfTime):
        return _FAILED


def _evaluated(text: str, rules: tuple[Callable, ...]) -> Any:
    from sympy.parsing.sympy_parser import stringify_expr

    names = dict(_namespace())
    tree = ast.parse(stringify_expr(text, {}, names, rules).strip(), mode="eval")
    if isinstance(tree.body, ast.Name):
        return names.get(tree.body.id)
    for node in ast.walk(tree):
        if not _is_arithmetic(node, names):
            raise Unreadable(f"{type(node).__name__} is no arithmetic")
    return eval(compile(tree, "<answer>", "eval"), names)


def _is_arithmetic(node: ast.AST, names: dict[str, Any]) -> bool:
    if isinstance(node, ast.Name):
        return node.id not in _ACTIONS and _is_mathematics(names.get(node.id))
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return bool(_NAME_OR_NUMBER.fullmatch(node.value))
    return isinstance(node, _ARITHMETIC)


def _is_mathematics(value: Any) -> bool:
    package, _, room = (getattr(value, "__module__", None) or "").partition(".")
    if package == "builtins":
        return value.__name__ in _BUILTINS
    return package == "sympy" and room.partition(".")[0] not in _NO_MATHEMATICS


@lru_cache(maxsize=1)
def _namespace() -> dict[str, Any]:
    """The names that `parse_expr` knows: sympy's, and Python's built-in functions."""
    import sympy

    names = {name: getattr(sympy, name) for name in sympy.__all__}
    names.update({name: one for name, one in vars(builtins).items() if isinstance(one, BuiltinFunctionType)})
    return {**names, "max": sympy.Max, "min": sympy.Min}
