"""Encodes values exactly, as text between the candidate's process and the tests' process.

The format is JSON, since a JSON decoder is safe with hostile text. None, bool, int, float and str are encoded
as themselves, a list as an array, and all other values as an object with type `t` and content `v`. An
instance of a subclass is encoded as its builtin base, so that an overridden `__eq__` is lost. Mutable
containers are numbered in order of appearance: a second occurrence is a reference, and the receiver can send
back their changed contents.
"""

import json
import operator
from collections.abc import Callable, Iterable
from typing import Any

from evalsuite.sandbox import plain

LARGEST = 64 << 20
"""Largest message in bytes; a larger one is an error of the program that sends it."""

_LONG = 10**1000
"""Integers from here on are hexadecimal: decimal takes quadratic time, and Python limits its length."""

Json = Any


class Unplain(Exception):
    """A value that cannot be encoded as data; the message is its type."""


class MalformedMessage(Exception):
    """A message that the encoder cannot have written."""


def dump(message: Json) -> bytes:
    """A message as bytes, also with NaN, infinities and lone surrogates."""
    return json.dumps(message, separators=(",", ":")).encode()


def load(data: bytes) -> Json:
    """The message of `dump`; raises Malformed."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(str(error)) from None


class ValueEncoder:
    """Encodes values as JSON, and numbers the containers in them.

    `opaque` gives the JSON of a value of unknown type. `containers` are already numbered. A value that is too
    large for a message raises ValueError as soon as this is certain, before it uses a minute of CPU time.
    """

    def __init__(self, opaque: Callable[[Any], Json], containers: Iterable[Any] = ()) -> None:
        self._opaque = opaque
        self._room = LARGEST
        self.containers = list(containers)
        """Containers in the order of their numbers; kept, so that no other value can get their id."""
        self._numbers = {id(container): number for number, container in enumerate(self.containers)}

    def __call__(self, value: Any) -> Json:
        """The JSON of `value`; raises Unplain, or RecursionError for one that is nested too deeply."""
        kind = type(value)
        if kind is int and not -_LONG < value < _LONG:
            return {"t": "long", "v": hex(value)}
        if kind in plain.SCALARS:
            return value
        if kind is list:
            return self._reference(value) or self._items(value)
        if kind is tuple:
            return {"t": "tuple", "v": self._items(value)}
        if kind in plain.WRITERS:
            return self._object(kind, value)
        return self._unusual(value)

    def contents(self) -> Json:
        """The current contents of each numbered container, for a decoder's `refill`."""
        return [
            self._items(value) if type(value) is list else self._written(type(value), value)
            for value in tuple(self.containers)
        ]

    def _items(self, values: Iterable[Any]) -> Json:
        values = list(values)
        self._room -= 2 * len(values)  # At least a character and a comma each.
        if self._room < 0:
            raise ValueError(f"a message of more than {LARGEST >> 20} MiB")
        return values if _stand_for_themselves(values) else [self(value) for value in values]

    def _reference(self, container: Any) -> Json | None:
        number = self._numbers.get(id(container))
        if number is None:
            self._numbers[id(container)] = len(self.containers)
            self.containers.append(container)
            return None
        return {"t": "ref", "v": number}

    def _object(self, kind: type, value: Any) -> Json:
        if not plain.travels(value):
            return self._opaque(value)
        if kind in plain.REFILL and (seen := self._reference(value)):
            return seen
        return {"t": plain.TAGS[kind], "v": self._written(kind, value)}

    def _written(self, kind: type, value: Any) -> Json:
        return self._items(plain.WRITERS[kind](value))

    def _unusual(self, value: Any) -> Json:
        """Singletons, types, numpy's values, and subclasses of builtin types."""
        if issubclass(type(value), type):
            return (
                {"t": "type", "v": plain.TYPE_NAMES[value]}
                if value in plain.TYPE_NAMES
                else self._opaque(value)
            )
        for name, singleton in plain.SINGLETONS.items():
            if value is singleton:
                return {"t": "singleton", "v": name}
        module = type(value).__module__
        if module == "numpy" and (array := plain.numpy_parts(value)):
            return array
        fields = getattr(type(value), "_fields", None)
        if (
            isinstance(value, tuple)
            and isinstance(fields, tuple)
            and all(type(field) is str for field in fields)
        ):
            items = self._items(tuple.__iter__(value))
            return {"t": "namedtuple", "v": [type(value).__name__, list(fields), items]}
        for kind, content in plain.BASES:
            if issubclass(type(value), kind):
                return self(content(value))
        return self._opaque(value)


class ValueDecoder:
    """Decodes JSON into values; raises Malformed.

    `opaque` decodes the output of an encoder's `opaque`. `containers` are already numbered.
    """

    def __init__(self, opaque: Callable[[Json], Any], containers: Iterable[Any] = ()) -> None:
        self._opaque = opaque
        self.containers = list(containers)

    def __call__(self, data: Json) -> Any:
        """The value of `data`."""
        if type(data) is list:
            container: list[Any] = []
            self.containers.append(container)
            container.extend(self._items(data))
            return container
        if type(data) is not dict:
            return data
        try:
            return self._object(data["t"], data.get("v"), data)
        except MalformedMessage:
            raise
        except RecursionError:
            raise MalformedMessage("nested too deeply") from None
        except Exception as error:
            raise MalformedMessage(f"{type(error).__name__}: {error}") from None

    def refill(self, contents: Json) -> None:
        """Replace the contents of the numbered containers in place; raises Malformed."""
        try:
            for container, content in zip(tuple(self.containers), contents, strict=True):
                plain.REFILL[type(container)](container, self._items(content))
        except MalformedMessage:
            raise
        except (TypeError, ValueError, RecursionError) as error:
            raise MalformedMessage(str(error)) from None

    def _items(self, data: list[Json]) -> list[Any]:
        if plain.SCALARS.issuperset(map(type, data)):
            return data
        return [self(item) for item in data]

    def _object(self, tag: str, content: Json, data: Json) -> Any:
        if tag == "tuple":
            return tuple(self._items(content))
        if tag == "ref":
            return self.containers[operator.index(content)]
        if tag == "long":
            return int(content, 16)
        if tag in plain.KINDS:
            kind = plain.KINDS[tag]
            if kind not in plain.REFILL:
                return plain.READERS[kind](self._items(content))
            container = kind()
            self.containers.append(container)
            plain.REFILL[kind](container, self._items(content))
            return container
        if tag == "namedtuple":
            name, fields, items = content
            return plain.named_tuple(name, tuple(fields))(self._items(items))
        if tag == "type":
            return plain.TYPES_BY_NAME[content]
        if tag == "singleton":
            return plain.SINGLETONS[content]
        if tag == "numpy":
            return plain.numpy_value(*content)
        return self._opaque(data)


def _stand_for_themselves(values: list[Any]) -> bool:
    """Whether all values are scalars without a long integer; may be False if that takes longer to check."""
    kinds = set(map(type, values))
    if int not in kinds:
        return kinds <= plain.SCALARS
    return kinds <= {int, bool} and min(values) > -_LONG and max(values) < _LONG
