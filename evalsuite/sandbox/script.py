"""Analyzes a test script: the names it uses, and a builtin's name that means the candidate's function."""

import ast
import builtins
import dis
from collections.abc import Collection, Iterator
from types import CodeType
from typing import Any

from evalsuite.sandbox.reports import TESTS

BUILTINS = frozenset(dir(builtins))
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def compiled(tests: str | ast.Module) -> CodeType:
    """Compile a script; raises SyntaxError, ValueError, RecursionError or MemoryError if it is not valid."""
    return compile(tests, TESTS, "exec", dont_inherit=True, optimize=0)


def names_used(script: CodeType) -> Iterator[str]:
    """Names of globals and attributes in a script and its functions."""
    yield from script.co_names
    for constant in script.co_consts:
        if isinstance(constant, CodeType):
            yield from names_used(constant)


def tested_builtin(
    script: CodeType, entry_point: str, known: Collection[str], others: Collection[str]
) -> str:
    """The builtin's name that means the candidate's function; empty if there is none.

    Args:
        script: the tests.
        entry_point: the tested function; empty if unknown.
        known: names in the script that the candidate defines.
        others: those of them that are neither builtins nor modules.
    """
    shadowing = BUILTINS.intersection(known)
    if entry_point or not shadowing:
        return entry_point if entry_point in shadowing else ""
    return next(iter(shadowing)) if len(shadowing) == 1 and _bound(script).issuperset(others) else ""


def _bound(script: CodeType) -> set[str]:
    """Names that the script itself assigns at top level."""
    return {step.argval for step in dis.get_instructions(script) if step.opname == "STORE_NAME"}


def compiled_for(tests: str, builtin: str) -> tuple[CodeType, str]:
    """The script with the candidate's function in place of `builtin`, and that function's name in it.

    Only uses outside functions are replaced, so that helpers of the tests still call the builtin; if there
    are none, all uses are replaced.
    """
    tree = ast.parse(tests, TESTS)
    uses = list(_uses(_outside_functions(tree), builtin)) or list(_uses(ast.walk(tree), builtin))
    name = f"{builtin} of the candidate"  # Not an identifier, so that no other code of the tests can use it.
    for use in uses:
        use.id = name
    return compiled(tree), name


def _uses(nodes: Iterator[ast.AST], name: str) -> Iterator[ast.Name]:
    for node in nodes:
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
            yield node


def _outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting += ast.iter_child_nodes(node)
