"""The tests' process in mode `compare`: evaluates assertions on plain data that the candidate sent.

The candidate cannot make this process import, call or execute anything. Its names are plain data, or handles
whose calls are messages; modules and builtins are the tests' own, by the names that the tests use.
"""

import importlib
import re
import socket
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

from evalsuite.sandbox import codec
from evalsuite.sandbox.program import ProgramOutcome
from evalsuite.sandbox.proxy import Asker, ObjectProxy, Stop
from evalsuite.sandbox.reports import outcome_report
from evalsuite.sandbox.script import (
    BUILTINS,
    compiled,
    compiled_for,
    names_used,
    tested_builtin,
)

_LOOK_UP_BY_TEXT = {"eval", "exec", "globals", "locals", "vars"}
_REACH_INTO_THE_PROCESS = {
    "getsource",
    "input",
    "mock",
    "patch",
    "redirect_stderr",
    "redirect_stdout",
    "stdin",
    "stdout",
}
_MODULES = {name: name for name in sys.stdlib_module_names} | {"numpy": "numpy", "np": "numpy"}
"""Modules by the names that tests may use without importing them."""


def run_tests(
    tests: str,
    entry_point: str,
    candidate: socket.socket,
    started: Callable[[], None],
    stop: Stop,
    keeps: str = "",
) -> NoReturn:
    """Run `tests` against a candidate's process, and `stop` with the outcome.

    Besides a ProgramOutcome it may be `gone` (the candidate's process ended), `inseparable` (the tests must
    run in the candidate's process) or `broken` (the tests do not compile). `started` is called before the
    first message from the candidate: from then on, the candidate's answers can end this process. If all tests
    pass, the detail is
        the text in
    their variable `keeps`.
    """
    ask = Asker(candidate, stop)
    try:
        script = compiled(tests)
        names = set(names_used(script))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as broken:
        stop("broken", f"{type(broken).__name__}: {broken}")
    if names & _REACH_INTO_THE_PROCESS:
        stop("inseparable", f"the tests use {', '.join(sorted(names & _REACH_INTO_THE_PROCESS))}")
    started()
    module = types.ModuleType("tests")
    error: BaseException | None = None
    try:
        ask.answer()  # Its code has run.
        known = _candidates_names(ask, names, tests)
        builtin = tested_builtin(script, entry_point, known, _testable(known))
        if builtin:
            script, name = compiled_for(tests, builtin)
            vars(module)[name] = known[builtin]
        vars(module).update((name, value) for name, value in known.items() if name not in BUILTINS)
        exec(script, vars(module))
    except BaseException as raised:
        error = raised
    try:
        told = outcome_report(error, tests)
    except BaseException:  # Not enough memory for a message.
        told = {"outcome": ProgramOutcome.MEMORY.value, "detail": "MemoryError"}
    kept = vars(module).get(keeps)
    stop(told["outcome"], kept if error is None and type(kept) is str else told["detail"])


def _candidates_names(ask: Asker, used: set[str], tests: str) -> dict[str, Any]:
    """The candidate's values of the names that the tests use: plain data, or handles."""
    needed = used | _public(ask) if used & _LOOK_UP_BY_TEXT else used
    # No names of the interpreter: `__builtins__` would change the meaning of the tests.
    needed = {name for name in needed if not name.startswith("__")}
    values = ask.plainly({"do": "names", "of": sorted(needed)})["value"]
    if type(values) is not dict:
        ask.stop("violation", "no values for names")
    return {name: _value(ask, name, values[name], tests) for name in sorted(needed) if name in values}


def _public(ask: Asker) -> set[str]:
    names = ask.plainly({"do": "public"})["value"]
    if type(names) is not list or not all(type(name) is str for name in names):
        ask.stop("violation", "no list of names")
    return set(names)


def _value(ask: Asker, name: str, told: codec.Json, tests: str) -> Any:
    """The value of one of the candidate's names in the tests.

    If the tests use the name as a module, they get their own module, not the candidate's value: otherwise
    `math.isclose(result, expected)` would ask the candidate.
    """
    value = ask.decoded(told)
    if isinstance(value, ObjectProxy) and name in _MODULES and _used_as_module(name, tests):
        ask.candidate_names_modules = True
        return _own_module(_MODULES[name])
    return value


def _used_as_module(name: str, tests: str) -> bool:
    uses = set(re.findall(rf"(?<![.\w]){name}\s*([.(])", tests))
    return uses == {"."}


def _testable(known: dict[str, Any]) -> set[str]:
    """The names that the tests could be testing."""
    return {
        name
        for name, value in known.items()
        if name not in BUILTINS and not isinstance(value, types.ModuleType)
    }


def _own_module(name: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        return types.ModuleType(name)
