"""Mode `token`: the candidate and its tests in one process, for tests that data cannot carry to another.

The tests and a token arrive only when the candidate's code has run to its end, and the token is given back
only when the tests have. So a program that ends early, however it does so, has no token to show. What this
cannot prevent: code that shares a process with its tests can change what the tests see (an object that equals
everything, patched library functions), and, if it was written against this very module, it can take the tests
and the token from the socket.
"""

import builtins
import socket
from types import CodeType, ModuleType
from typing import Any, NoReturn

from evalsuite.sandbox import candidate, link
from evalsuite.sandbox.proxy import Stop
from evalsuite.sandbox.reports import report
from evalsuite.sandbox.script import (
    BUILTINS,
    compiled,
    compiled_for,
    names_used,
    tested_builtin,
)


def run_together(code: str, channel: socket.socket, stop: Stop) -> NoReturn:
    """Run `code`, then the tests from `channel` in the same names; `stop` with the outcome.

    The detail of `passed` is the token.
    """
    names = dict(vars(builtins))
    error: BaseException | None = None
    token, tests = "", ""
    try:
        module = candidate.run(code)
        link.send(channel, {"defined": True})
        sent = link.receive(channel)
        token, tests = sent["token"], sent["tests"]
        vars(builtins).update(names)
        script, known = _script(tests, sent["entry_point"], vars(module))
        exec(script, known)
    except BaseException as raised:
        error = raised
    told = report(error, tests)
    stop(told["outcome"], told["detail"] if error else token)


def _script(tests: str, entry_point: str, defined: dict[str, Any]) -> tuple[CodeType, dict[str, Any]]:
    """The tests, and the names in which they run: the candidate's, but for those of builtins as in mode
    `compare`."""
    script = compiled(tests)
    names = {name: value for name, value in defined.items() if name not in BUILTINS}
    used = set(names_used(script))
    others = {name for name, value in names.items() if name in used and not isinstance(value, ModuleType)}
    builtin = tested_builtin(script, entry_point, used & defined.keys(), others)
    if builtin:
        script, name = compiled_for(tests, builtin)
        names[name] = defined[builtin]
    return script, names
