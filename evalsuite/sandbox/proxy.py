"""What the tests hold in place of a candidate's object that is not plain data."""

import builtins
import socket
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from evalsuite.sandbox import codec, link

Stop = Callable[[str, str], NoReturn]

_EXCEPTIONS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
}


class Asker:
    """Asks the candidate's process; ends the tests, past any `except` of theirs, where no answer comes."""

    def __init__(self, candidate: socket.socket, stop: Stop) -> None:
        """`stop` is given an outcome and a detail, and does not return."""
        self._candidate = candidate
        self.stop = stop
        self.candidate_names_modules = False
        """Whether a name of the tests means a module because the candidate has one by that name: then what
        cannot be handed over may be the candidate's doing, and is no reason to believe that the tests need
        its process."""

    def __call__(self, verb: str, target: Any, *arguments: Any, **keywords: Any) -> Any:
        """The value of a verb on one of the candidate's objects, or the exception that it raises there."""
        encode = codec.Encoder(_identify)
        try:
            question = {"do": verb, "of": encode(target), "with": encode([arguments, keywords])}
        except codec.Unplain as error:
            outcome = "error" if self.candidate_names_modules else "inseparable"
            self.stop(outcome, f"the tests hand over a value of type {error}")
        answer = self.plainly(question)
        return self.decoded(answer["value"], encode.containers, answer.get("changed"))

    def plainly(self, question: codec.Json) -> dict[str, Any]:
        """The candidate's answer, as JSON, to a question as JSON; raises what the answer says was raised."""
        try:
            link.send(self._candidate, question)
        except link.Closed:
            self.stop("gone", "")
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next answer, which has a `value`; raises what it says was raised."""
        try:
            answer = link.receive(self._candidate)
        except link.Closed:
            self.stop("gone", "")
        except codec.Malformed as error:
            self._tampered(error)
        except MemoryError:
            self._too_large()
        if type(answer) is dict and "raised" in answer:
            raise _exception(answer)
        if type(answer) is not dict or "value" not in answer:
            self._tampered("no value")
        return answer

    def decoded(self, value: codec.Json, containers: Sequence[Any] = (), changed: codec.Json = None) -> Any:
        """The value of an answer; `containers`, which were sent, become what is said to have `changed`."""
        decode = codec.Decoder(self._proxy, containers)
        try:
            if changed is not None:
                decode.refill(changed)
            return decode(value)
        except codec.Malformed as error:
            self._tampered(error)
        except MemoryError:
            self._too_large()

    def _tampered(self, what: object) -> NoReturn:
        self.stop("violation", f"the program's process sent what is no message: {what}")

    def _too_large(self) -> NoReturn:
        self.stop("memory", "an answer is too large for the tests' process")

    def _proxy(self, handle: codec.Json) -> "Proxy":
        if handle["t"] != "handle" or type(handle["v"]) is not int:
            raise codec.Malformed("no handle")
        return Proxy(self, handle["v"])


class Proxy:
    """A candidate's object. It equals nothing but the candidate's own, and no expected value is ever sent to
    it.

    There is no order and no arithmetic, since both would tell the candidate what it is compared with.
    """

    __slots__ = ("_ask", "_number")

    def __init__(self, ask: Asker, number: int) -> None:
        object.__setattr__(self, "_ask", ask)
        object.__setattr__(self, "_number", number)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call it, with plain data or with objects of its own."""
        return self._ask("call", self, *arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        # Libraries look for protocols behind these names, some of which hold addresses of memory.
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
        return self._ask("length", self)

    def __iter__(self) -> Any:
        items = self._ask("iterate", self)
        return items if isinstance(items, Proxy) else iter(items)

    def __next__(self) -> Any:
        return self._ask("next", self)

    def __bool__(self) -> bool:
        return self._ask("truth", self)

    def __str__(self) -> str:
        return self._ask("text", self)

    def __repr__(self) -> str:
        return self._ask("repr", self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Proxy):
            return NotImplemented
        return self._number == other._number or self._ask("equal", self, other)

    def __hash__(self) -> int:
        return hash(self._number)

    def __instancecheck__(self, value: object) -> bool:
        return self._ask("is_instance", self, value)


def _identify(value: Any) -> codec.Json:
    if type(value) is Proxy:
        return {"t": "handle", "v": object.__getattribute__(value, "_number")}
    raise codec.Unplain(type(value).__name__)


def _exception(answer: codec.Json) -> BaseException:
    """The builtin exception of an answer, with what the candidate's process `told`: its name and its text."""
    kind = _EXCEPTIONS.get(str(answer["raised"]), Exception)
    arguments = answer.get("args")
    try:
        error = kind(answer["text"]) if arguments is None else kind(*codec.Decoder(_nothing)(arguments))
    except Exception:
        error = Exception(answer.get("text"))
    error.told = (str(answer.get("name")), str(answer.get("text")))  # type: ignore[attr-defined]
    return error


def _nothing(data: codec.Json) -> NoReturn:
    raise codec.Malformed("an object in an exception")
