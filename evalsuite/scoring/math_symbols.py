"""Compares two answers as expressions with sympy, without running the code that they may contain.

sympy reads plain text with Python's `eval`. Since a model wrote the answer, only arithmetic over sympy's
mathematics is evaluated here; anything else counts as text that sympy cannot read.
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
"""CPU limit of a step (nvidia-lm-eval 25.5 has the same limit in wall-clock time)."""

_ARITHMETIC = (
    *(ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Call),
    *(ast.UnaryOp, ast.BinOp, ast.Compare, ast.BoolOp, ast.unaryop, ast.operator, ast.cmpop, ast.boolop),
)
_BUILTINS = frozenset({"abs", "divmod", "max", "min", "pow", "round", "sum"})
_NO_MATHEMATICS = ("interactive", "parsing", "plotting", "printing", "testing", "utilities")
"""Packages of sympy whose functions read, write or run text."""
_ACTIONS = ("doctest", "test", "var")
_NAME_OR_NUMBER = re.compile(r"[\w.+-]*")
"""Strings in the output of sympy's reader: arguments of Symbol, Function, Float, Integer and Rational."""


_FAILED = object()


class NotArithmetic(ValueError):
    """Text that is not arithmetic."""


def agree_within(gold: str, answer: str, tolerance: float) -> bool:
    """Whether the difference simplifies to 0, or the values agree within the relative `tolerance`.

    This is the last rule of the older NeMo grader (nvidia-lm-eval 25.5, math_grader.py, `symbolic_equal`):
    each text is read as Python arithmetic, or else as LaTeX; steps that fail or exceed STEP_SECONDS are
    skipped. Uses a signal of the CPU clock, so that it works only in a main thread.
    """
    import sympy

    first, second = _read(gold), _read(answer)
    return (
        _tried(lambda: sympy.simplify(first - second) == 0) is True
        or _tried(lambda: isclose(_value(first), _value(second), rel_tol=tolerance)) is True
    )


def _read_arithmetic(text: str) -> Any:
    """`text` as sympy's `parse_expr` reads it; raises Unreadable, or whatever Python raises for it."""
    from sympy.parsing.sympy_parser import standard_transformations

    return _evaluated(text, standard_transformations)


def _read(text: str) -> Any:
    """An expression, or the text itself if it can be read neither way."""
    from sympy.parsing.latex import parse_latex

    for reading in (_read_arithmetic, parse_latex):
        if (found := _tried(reading, text)) is not _FAILED:
            return found
    return text


def _value(expression: Any) -> Any:
    """The value to 15 digits; text is read by sympy's other rules, in which ^ is a power."""
    import sympy
    from sympy.parsing import sympy_parser

    if isinstance(expression, str):
        rules = (*sympy_parser.standard_transformations, sympy_parser.rationalize, sympy_parser.convert_xor)
        expression = _evaluated(expression.replace("\n", ""), rules)
    return sympy.N(expression)


def _tried(step: Callable[..., Any], *arguments: Any) -> Any:
    """The result of `step`; _FAILED if it raises or takes too long."""
    try:
        with cpu_limit(STEP_SECONDS):
            return step(*arguments)
    except (Exception, OutOfTime):
        return _FAILED


def _evaluated(text: str, rules: tuple[Callable[..., Any], ...]) -> Any:
    from sympy.parsing.sympy_parser import stringify_expr

    names = dict(_namespace())
    tree = ast.parse(stringify_expr(text, {}, names, rules).strip(), mode="eval")
    if isinstance(tree.body, ast.Name):
        return names.get(tree.body.id)
    for node in ast.walk(tree):
        if not _is_arithmetic(node, names):
            raise NotArithmetic(f"{type(node).__name__} is not arithmetic")
    return eval(compile(tree, "<answer>", "eval"), names)


def _is_arithmetic(node: ast.AST, names: dict[str, Any]) -> bool:
    if isinstance(node, ast.Name):
        return node.id not in _ACTIONS and _is_mathematics(names.get(node.id))
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return bool(_NAME_OR_NUMBER.fullmatch(node.value))
    return isinstance(node, _ARITHMETIC)


def _is_mathematics(value: Any) -> bool:
    package, _, module = (getattr(value, "__module__", None) or "").partition(".")
    if package == "builtins":
        return value.__name__ in _BUILTINS
    return package == "sympy" and module.partition(".")[0] not in _NO_MATHEMATICS


@lru_cache(maxsize=1)
def _namespace() -> dict[str, Any]:
    """The names that `parse_expr` knows: sympy's, and Python's built-in functions."""
    import sympy

    names = {name: getattr(sympy, name) for name in sympy.__all__}
    functions = vars(builtins).items()
    names.update({name: value for name, value in functions if isinstance(value, BuiltinFunctionType)})
    return {**names, "max": sympy.Max, "min": sympy.Min}
