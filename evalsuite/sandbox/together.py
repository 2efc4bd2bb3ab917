"""Mode `token`: runs the candidate and its tests in one process, for tests that cannot use plain data alone.

The tests and a token arrive only after the candidate's code has run, and the token is returned only after the
tests have passed. So a program that ends early in any way has no token. This mode cannot prevent two attacks:
code in the same process can change what the tests see (an object that equals everything, patched library
functions), and code that is written against this module can read the tests and the token from the socket.
"""

import builtins
import socket
from types import CodeType, ModuleType
from typing import Any, NoReturn

from evalsuite.sandbox import candidate, link
from evalsuite.sandbox.proxy import Stop
from evalsuite.sandbox.reports import outcome_report
from evalsuite.sandbox.script import (
    BUILTINS,
    compiled,
    compiled_for,
    names_used,
    tested_builtin,
)


def run_together(code: str, channel: socket.socket, stop: Stop) -> NoReturn:
    """Run `code`, then the tests from `channel` with the same names; `stop` with the outcome.

    The detail of `passed` is the token.
    """
    names = dict(vars(builtins))
    error: BaseException | None = None
    token, tests = "", ""
    try:
        module = candidate.run_program(code)
        link.send(channel, {"defined": True})
        sent = link.receive(channel)
        token, tests = sent["token"], sent["tests"]
        vars(builtins).update(names)
        script, known = _script(tests, sent["entry_point"], vars(module))
        exec(script, known)
    except BaseException as raised:
        error = raised
    result = outcome_report(error, tests)
    stop(result["outcome"], result["detail"] if error else token)


def _script(tests: str, entry_point: str, defined: dict[str, Any]) -> tuple[CodeType, dict[str, Any]]:
    """The tests and their names: the candidate's, except names of builtins, as in mode `compare`."""
    script = compiled(tests)
    names = {name: value for name, value in defined.items() if name not in BUILTINS}
    used = set(names_used(script))
    others = {name for name, value in names.items() if name in used and not isinstance(value, ModuleType)}
    builtin = tested_builtin(script, entry_point, used & defined.keys(), others)
    if builtin:
        script, name = compiled_for(tests, builtin)
        names[name] = defined[builtin]
    return script, names
