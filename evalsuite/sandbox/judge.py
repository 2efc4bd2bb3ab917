"""The tests' process of mode `compare`: assertions are evaluated here, on plain data that the candidate sent."""

import builtins
import dis
import importlib
import re
import socket
import sys
import types
from collections.abc import Iterator
from typing import Any, NoReturn

from evalsuite.sandbox import codec
from evalsuite.sandbox.proxy import Asker, Proxy, Stop
from evalsuite.sandbox.reports import TESTS, report

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


def judge(tests: str, candidate: socket.socket, stop: Stop) -> NoReturn:
    """Run `tests` against a candidate's process, and `stop` with the outcome.

    Besides an Outcome it may be `gone` (the candidate's process ended), `inseparable` (the tests need to be in the
    candidate's process) or `broken` (the tests do not compile).
    """
    ask = Asker(candidate, stop)
    try:
        script = compile(tests, TESTS, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as broken:
        stop("broken", f"{type(broken).__name__}: {broken}")
    names = set(_names(script))
    if names & _REACH_INTO_THE_PROCESS:
        stop("inseparable", f"the tests use {', '.join(sorted(names & _REACH_INTO_THE_PROCESS))}")
    module = types.ModuleType("tests")
    error: BaseException | None = None
    try:
        ask.answer()  # Its code has run.
        vars(module).update(_candidates_names(ask, script, names, tests))
        exec(script, vars(module))
    except BaseException as raised:
        error = raised
    told = report(error, tests)
    stop(told["outcome"], told["detail"])


def _candidates_names(ask: Asker, script: types.CodeType, used: set[str], tests: str) -> dict[str, Any]:
    """What the candidate calls by a name that the tests use."""
    wanted = used | set(ask.plainly({"do": "public"})["value"]) if used & _LOOK_UP_BY_TEXT else used
    # No name of the interpreter's own: `__builtins__` would change what the tests mean.
    wanted = {name for name in wanted if not name.startswith("__")}
    told = ask.plainly({"do": "names", "of": sorted(wanted)})["value"]
    values = {name: _value(ask, name, told[name], tests) for name in sorted(wanted) if name in told}
    known = {name: value for name, value in values.items() if value is not None}
    shadowing = known.keys() & set(dir(builtins))
    if shadowing:
        # Builtins stay the tests' own. But where nothing else could be what is tested, a task that asks for a
        # function called `sum` gets the candidate's.
        others = known.keys() - shadowing - _bound(script)
        if any(not isinstance(known[name], types.ModuleType) for name in others):
            known = {name: value for name, value in known.items() if name not in shadowing}
    return known


def _bound(script: types.CodeType) -> set[str]:
    """The names that the tests themselves give a value at top level."""
    return {step.argval for step in dis.get_instructions(script) if step.opname == "STORE_NAME"}


def _names(script: types.CodeType) -> Iterator[str]:
    """The names of globals and attributes in a script and in its functions."""
    yield from script.co_names
    for constant in script.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _value(ask: Asker, name: str, named: codec.Json, tests: str) -> Any:
    """What stands for one of the candidate's names; None for what is left undefined.

    A module is the tests' own copy, and what the candidate puts in the place of one that the tests use as a module
    is ignored: otherwise `math.isclose(result, expected)` would ask the candidate.
    """
    if type(named) is not dict:
        ask.stop("violation", f"no value for the name {name}")
    if "module" in named:
        ask.candidate_names_modules = True
        return _imported(named["module"], named.get("name"))
    value = ask.decoded(named.get("value"))
    if isinstance(value, Proxy) and name in _MODULES and not re.search(rf"\b{name}\s*\(", tests):
        return _imported(_MODULES[name], None)
    return value


_MODULES = {name: name for name in sys.stdlib_module_names} | {"numpy": "numpy", "np": "numpy"}


def _imported(module: str, name: str | None) -> Any:
    if str(module).partition(".")[0] not in _MODULES.values():
        return None
    try:
        found = importlib.import_module(module)
        return found if name is None else getattr(found, name)
    except (ImportError, AttributeError, TypeError, ValueError):
        return None
