"""The proxy that the tests have for a candidate's object that is not plain data."""

import builtins
import socket
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

from evalsuite.sandbox import codec, link

Stop = Callable[[str, str], NoReturn]

_EXCEPTIONS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
}


class Asker:
    """Sends requests to the candidate's process; without an answer, ends the tests despite any `except`."""

    def __init__(self, candidate: socket.socket, stop: Stop) -> None:
        """`stop` takes an outcome and a detail, and does not return."""
        self._candidate = candidate
        self.stop = stop
        self.candidate_names_modules = False
        """Whether a name in the tests is a module only because the candidate has such a name.

        Then the candidate may cause a value that cannot be sent, so that it does not prove that the tests
        need its process.
        """

    def __call__(self, verb: str, target: Any, *arguments: Any, **keywords: Any) -> Any:
        """Perform a verb on one of the candidate's objects; returns its value or raises its exception."""
        encode = codec.ValueEncoder(_identify)
        try:
            question = {"do": verb, "of": encode(target), "with": encode([arguments, keywords])}
        except codec.Unplain as error:
            outcome = "error" if self.candidate_names_modules else "inseparable"
            self.stop(outcome, f"the tests hand over a value of type {error}")
        answer = self.plainly(question)
        return self.decoded(answer["value"], encode.containers, answer.get("changed"))

    def plainly(self, question: codec.Json) -> dict[str, Any]:
        """The candidate's answer to a question, both as JSON; raises the exception of the answer."""
        try:
            link.send(self._candidate, question)
        except link.Closed:
            self.stop("gone", "")
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next answer, which has a `value`; raises the exception of the answer."""
        try:
            answer = link.receive(self._candidate)
        except link.Closed:
            self.stop("gone", "")
        except codec.MalformedMessage as error:
            self._tampered(error)
        except MemoryError:
            self._too_large()
        if type(answer) is dict and "raised" in answer:
            raise _exception(answer)
        if type(answer) is not dict or "value" not in answer:
            self._tampered("no value")
        return answer

    def decoded(self, value: codec.Json, containers: Sequence[Any] = (), changed: codec.Json = None) -> Any:
        """The value of an answer; the sent `containers` get the contents in `changed`."""
        decode = codec.ValueDecoder(self._proxy, containers)
        try:
            if changed is not None:
                decode.refill(changed)
            return decode(value)
        except codec.MalformedMessage as error:
            self._tampered(error)
        except MemoryError:
            self._too_large()

    def _tampered(self, what: object) -> NoReturn:
        self.stop("violation", f"the program's process sent an invalid message: {what}")

    def _too_large(self) -> NoReturn:
        self.stop("memory", "an answer is too large for the tests' process")

    def _proxy(self, handle: codec.Json) -> "ObjectProxy":
        if handle["t"] != "handle" or type(handle["v"]) is not int:
            raise codec.MalformedMessage("no handle")
        return ObjectProxy(self, handle["v"])


class ObjectProxy:
    """A candidate's object. It equals only objects of the candidate, and never receives an expected value.

    It has no order and no arithmetic, since both would reveal to the candidate what it is compared with.
    """

    __slots__ = ("_ask", "_number")

    def __init__(self, ask: Asker, number: int) -> None:
        object.__setattr__(self, "_ask", ask)
        object.__setattr__(self, "_number", number)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call it, with plain data or with objects of its own."""
        return self._ask("call", self, *arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        # Libraries look up protocols under these names, some of which contain memory addresses.
        if name.startswith("__") and name not in ("__name__", "__doc__"):
            raise AttributeError(name)
        return self._ask("attribute", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._ask("set_attribute", self, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._ask("item", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._ask("set_item", self, key, value)

    def __delitem__(self, key: Any) -> None:
        self._ask("delete_item", self, key)

    def __len__(self) -> int:
        return cast(int, self._ask("length", self))

    def __iter__(self) -> Any:
        items = self._ask("iterate", self)
        return items if isinstance(items, ObjectProxy) else iter(items)

    def __next__(self) -> Any:
        return self._ask("next", self)

    def __bool__(self) -> bool:
        return cast(bool, self._ask("truth", self))

    def __str__(self) -> str:
        return cast(str, self._ask("text", self))

    def __repr__(self) -> str:
        return cast(str, self._ask("repr", self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ObjectProxy):
            return NotImplemented
        return cast(bool, self._number == other._number or self._ask("equal", self, other))

    def __hash__(self) -> int:
        return hash(self._number)

    def __instancecheck__(self, value: object) -> bool:
        return cast(bool, self._ask("is_instance", self, value))


def _identify(value: Any) -> codec.Json:
    if type(value) is ObjectProxy:
        return {"t": "handle", "v": object.__getattribute__(value, "_number")}
    raise codec.Unplain(type(value).__name__)


def _exception(answer: codec.Json) -> BaseException:
    """The builtin exception of an answer; its attribute `told` has the original name and text."""
    kind = _EXCEPTIONS.get(str(answer["raised"]), Exception)
    arguments = answer.get("args")
    try:
        error = kind(answer["text"]) if arguments is None else kind(*codec.ValueDecoder(_nothing)(arguments))
    except Exception:
        error = Exception(answer.get("text"))
    error.told = (str(answer.get("name")), str(answer.get("text")))  # type: ignore[attr-defined]
    return error


def _nothing(data: codec.Json) -> NoReturn:
    raise codec.MalformedMessage("an object in an exception")
