"""The candidate's process, which runs the model's code and answers the requests of the tests.

This process is not trusted. The tests never run in it; they see only the values that it sends.
"""

import builtins
import operator
import socket
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from evalsuite.sandbox import codec, link

MODULE = "program"
"""Name of the candidate's module; not `__main__`, so that demonstration code does not run."""


def run_program(code: str) -> types.ModuleType:
    """Run `code` as a module; raises what it raises."""
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    exec(compile(code, f"<{MODULE}>", "exec", dont_inherit=True, optimize=0), module.__dict__)
    return module


def serve(code: str, judge: socket.socket) -> None:
    """Run `code`, then answer the judge until it closes the connection."""
    try:
        objects = _Objects(vars(run_program(code)))
    except BaseException as error:
        link.send(judge, raised(error))
        return
    answer: codec.Json = {"value": None}
    while True:
        try:
            link.send(judge, answer)
            question = link.receive(judge)
            answer = objects.answer(question)
        except link.Closed:
            return
        except BaseException as error:
            answer = raised(error)


def raised(error: BaseException) -> codec.Json:
    """An exception as a message: its nearest builtin type, its name, and its arguments if they are plain."""
    kind = next(base for base in type(error).__mro__ if vars(builtins).get(base.__name__) is base)
    arguments: codec.Json = None
    if kind.__str__ is type(error).__str__:
        try:
            arguments = codec.ValueEncoder(_refuse)(list(error.args))
            codec.dump(arguments)
        except Exception:
            arguments = None
    try:
        text = str(error)[:1000]
    except BaseException:
        text = ""
    return {"raised": kind.__name__, "name": type(error).__name__, "args": arguments, "text": text}


class _Objects:
    """The candidate's names, and objects that are not plain data, which the judge knows by number."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._objects: list[Any] = []

    def answer(self, question: codec.Json) -> codec.Json:
        """The answer to `{"do": verb, "of": object, "with": [arguments, keywords]}`."""
        if question["do"] == "public":
            return {"value": [name for name in self._names if not name.startswith("_")]}
        if question["do"] == "names":
            names = [name for name in question["of"] if name in self._names]
            return {"value": {name: self._named(self._names[name]) for name in names}}
        decode = codec.ValueDecoder(lambda handle: self._objects[handle["v"]])
        target, (arguments, keywords) = decode(question["of"]), decode(question["with"])
        containers = decode.containers
        before = self._contents(containers)
        value = _VERBS[question["do"]](target, *arguments, **keywords)
        encode = codec.ValueEncoder(self._handle, containers)
        changed = {} if self._contents(containers) == before else {"changed": encode.contents()}
        return {**changed, "value": encode(value)}

    def _contents(self, containers: Sequence[Any]) -> bytes:
        """The containers' contents as text, which also differs for values that `==` considers equal."""
        return codec.dump(codec.ValueEncoder(self._handle, containers).contents())

    def _named(self, value: Any) -> codec.Json:
        """A handle for a callable, so that the tests call it in this process; else the value."""
        return self._handle(value) if callable(value) else codec.ValueEncoder(self._handle)(value)

    def _handle(self, value: Any) -> codec.Json:
        self._objects.append(value)
        return {"t": "handle", "v": len(self._objects) - 1}


def _refuse(value: Any) -> codec.Json:
    raise codec.Unplain(type(value).__name__)


def _same(first: Any, second: Any) -> bool:
    return bool(first == second)


_VERBS: dict[str, Callable[..., Any]] = {
    "attribute": getattr,
    "call": lambda function, *arguments, **keywords: function(*arguments, **keywords),
    "delete_item": operator.delitem,
    "equal": _same,
    "is_instance": lambda kind, value: isinstance(value, kind),
    "item": operator.getitem,
    "iterate": iter,
    "length": len,
    "next": next,
    "repr": repr,
    "set_attribute": setattr,
    "set_item": operator.setitem,
    "text": str,
    "truth": bool,
}
