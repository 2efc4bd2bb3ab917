"""Values as text between a candidate's process and its tests': builtin and common library types, exactly.

JSON, since a decoder of JSON can be trusted with hostile text. None, bool, int, float and str stand for themselves and
an array is a list; everything else is an object with its type `t` and its content `v`. An instance of a subclass travels
as the builtin that it is made of, so that an overridden `__eq__` stays behind. Lists, dicts and other containers that can
change are numbered in the order in which they are met: a second mention is a reference, and the receiver can send back
what became of them.
"""

import datetime
import json
import operator
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

LARGEST = 64 << 20
"""Bytes of one message; what is larger is an error of the program that sends it."""

_SCALARS = frozenset({type(None), bool, int, float, str})
_TYPES_BY_NAME: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        bytearray,
        list,
        tuple,
        set,
        frozenset,
        dict,
        range,
        object,
    )
} | {
    "NoneType": type(None),
    "Counter": Counter,
    "OrderedDict": OrderedDict,
    "deque": deque,
    "Decimal": Decimal,
}
_TYPE_NAMES = {kind: name for name, kind in _TYPES_BY_NAME.items()}
_SINGLETONS = {"Ellipsis": ..., "NotImplemented": NotImplemented}

_LONG = 10**1000
"""From here on integers are written in hexadecimal: decimal takes quadratic time, and Python limits its length."""

Json = Any


class Unplain(Exception):
    """A value that cannot leave its process as data; the message is its type."""


class Malformed(Exception):
    """A message that no honest sender writes."""


def dump(message: Json) -> bytes:
    """A message as bytes. NaN, infinities and lone surrogates included."""
    return json.dumps(message, separators=(",", ":")).encode()


def load(data: bytes) -> Json:
    """The message of `dump`; raises Malformed."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from None


class Encoder:
    """Turns values into JSON; remembers the containers that it has met.

    `opaque` is asked for the JSON of a value of no known type. `containers` are those numbered so far.
    """

    def __init__(self, opaque: Callable[[Any], Json], containers: Iterable[Any] = ()) -> None:
        self._opaque = opaque
        self.containers = list(containers)
        """In the order of their numbers; kept, so that no other value takes over an identity."""
        self._numbers = {id(container): number for number, container in enumerate(self.containers)}

    def __call__(self, value: Any) -> Json:
        """The JSON of `value`; raises Unplain, or RecursionError for one that is nested too deeply."""
        kind = type(value)
        if kind is int and not -_LONG < value < _LONG:
            return {"t": "long", "v": hex(value)}
        if kind in _SCALARS:
            return value
        if kind is list:
            return self._reference(value) or self._items(value)
        if kind is tuple:
            return {"t": "tuple", "v": self._items(value)}
        if kind in _WRITERS:
            return self._object(kind, value)
        return self._unusual(value)

    def contents(self) -> Json:
        """What each container numbered so far holds now, for a decoder's `refill`."""
        return [
            self._items(value) if type(value) is list else self._written(type(value), value)
            for value in tuple(self.containers)
        ]

    def _items(self, values: Iterable[Any]) -> Json:
        values = list(values)
        return values if _stand_for_themselves(values) else [self(value) for value in values]

    def _reference(self, container: Any) -> Json | None:
        number = self._numbers.get(id(container))
        if number is None:
            self._numbers[id(container)] = len(self.containers)
            self.containers.append(container)
            return None
        return {"t": "ref", "v": number}

    def _object(self, kind: type, value: Any) -> Json:
        if not _travels(value):
            return self._opaque(value)
        if kind in _REFILL and (seen := self._reference(value)):
            return seen
        return {"t": _TAGS[kind], "v": self._written(kind, value)}

    def _written(self, kind: type, value: Any) -> Json:
        return self._items(_WRITERS[kind](value))

    def _unusual(self, value: Any) -> Json:
        """Singletons, types, numpy's values, and subclasses of builtin types."""
        if issubclass(type(value), type):
            return {"t": "type", "v": _TYPE_NAMES[value]} if value in _TYPE_NAMES else self._opaque(value)
        for name, singleton in _SINGLETONS.items():
            if value is singleton:
                return {"t": "singleton", "v": name}
        module = type(value).__module__
        if module == "numpy" and (array := _numpy_parts(value)):
            return array
        fields = getattr(type(value), "_fields", None)
        if (
            isinstance(value, tuple)
            and isinstance(fields, tuple)
            and all(type(field) is str for field in fields)
        ):
            items = self._items(tuple.__iter__(value))
            return {"t": "namedtuple", "v": [type(value).__name__, list(fields), items]}
        for kind, plain in _BASES:
            if issubclass(type(value), kind):
                return self(plain(value))
        return self._opaque(value)


class Decoder:
    """Turns JSON back into values; raises Malformed.

    `opaque` is given what an encoder's `opaque` wrote. `containers` are those numbered so far.
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
        except Malformed:
            raise
        except RecursionError:
            raise Malformed("nested too deeply") from None
        except Exception as error:
            raise Malformed(f"{type(error).__name__}: {error}") from None

    def refill(self, contents: Json) -> None:
        """Make the containers numbered so far hold `contents`, in place; raises Malformed."""
        try:
            for container, content in zip(tuple(self.containers), contents, strict=True):
                _REFILL[type(container)](container, self._items(content))
        except Malformed:
            raise
        except (TypeError, ValueError, RecursionError) as error:
            raise Malformed(str(error)) from None

    def _items(self, data: list[Json]) -> list[Any]:
        if _SCALARS.issuperset(map(type, data)):
            return data
        return [self(item) for item in data]

    def _object(self, tag: str, content: Json, data: Json) -> Any:
        if tag == "tuple":
            return tuple(self._items(content))
        if tag == "ref":
            return self.containers[operator.index(content)]
        if tag == "long":
            return int(content, 16)
        if tag in _KINDS:
            kind = _KINDS[tag]
            if kind not in _REFILL:
                return _READERS[kind](self._items(content))
            container = kind()
            self.containers.append(container)
            _REFILL[kind](container, self._items(content))
            return container
        if tag == "namedtuple":
            name, fields, items = content
            return _namedtuple(name, tuple(fields))(*self._items(items))
        if tag == "type":
            return _TYPES_BY_NAME[content]
        if tag == "singleton":
            return _SINGLETONS[content]
        if tag == "numpy":
            return _numpy_value(*content)
        return self._opaque(data)


def _stand_for_themselves(values: list[Any]) -> bool:
    """Whether all are scalars, and no integer among them is long; may say no where it is not known at once."""
    kinds = set(map(type, values))
    if int not in kinds:
        return kinds <= _SCALARS
    return kinds <= {int, bool} and min(values) > -_LONG and max(values) < _LONG


@cache
def _namedtuple(name: str, fields: tuple[str, ...]) -> type:
    return namedtuple(name, fields)


def _pairs(values: Any) -> list[tuple[Any, Any]]:
    return list(dict.items(values))


def _fill_list(target: list[Any], items: list[Any]) -> None:
    target[:] = items


def _fill_dict(target: Any, items: list[Any]) -> None:
    target.clear()
    for key, value in items:
        target[key] = value


def _fill_defaultdict(target: Any, parts: list[Any]) -> None:
    factory, *items = parts
    target.default_factory = factory
    _fill_dict(target, items)


def _fill_set(target: set[Any], items: list[Any]) -> None:
    target.clear()
    target.update(items)


def _fill_bytearray(target: bytearray, parts: list[Any]) -> None:
    target[:] = bytes.fromhex(parts[0])


def _fill_deque(target: deque[Any], items: list[Any]) -> None:
    target.clear()
    target.extend(items)


def _travels(value: Any) -> bool:
    """Whether a value of a known type is told in full by its parts."""
    return getattr(value, "maxlen", None) is None and getattr(value, "tzinfo", None) in (None, datetime.UTC)


_WRITERS: dict[type, Callable[[Any], Iterable[Any]]] = {
    dict: _pairs,
    OrderedDict: _pairs,
    Counter: _pairs,
    defaultdict: lambda value: [
        value.default_factory if value.default_factory in _TYPE_NAMES else None,
        *_pairs(value),
    ],
    set: list,
    frozenset: list,
    deque: list,
    bytearray: lambda value: [value.hex()],
    bytes: lambda value: [value.hex()],
    complex: lambda value: [value.real, value.imag],
    range: lambda value: [value.start, value.stop, value.step],
    slice: lambda value: [value.start, value.stop, value.step],
    Decimal: lambda value: [str(value)],
    Fraction: lambda value: [value.numerator, value.denominator],
    datetime.datetime: lambda value: [value.isoformat()],
    datetime.date: lambda value: [value.isoformat()],
    datetime.time: lambda value: [value.isoformat()],
    datetime.timedelta: lambda value: [value.days, value.seconds, value.microseconds],
    type({}.keys()): list,
    type({}.values()): list,
    type({}.items()): list,
}
_READERS: dict[type, Callable[[list[Any]], Any]] = {
    frozenset: frozenset,
    bytes: lambda parts: bytes.fromhex(parts[0]),
    complex: lambda parts: complex(*parts),
    range: lambda parts: range(*parts),
    slice: lambda parts: slice(*parts),
    Decimal: lambda parts: Decimal(parts[0]),
    Fraction: lambda parts: Fraction(*parts),
    datetime.datetime: lambda parts: datetime.datetime.fromisoformat(parts[0]),
    datetime.date: lambda parts: datetime.date.fromisoformat(parts[0]),
    datetime.time: lambda parts: datetime.time.fromisoformat(parts[0]),
    datetime.timedelta: lambda parts: datetime.timedelta(*parts),
    type({}.keys()): lambda parts: dict.fromkeys(parts).keys(),
    type({}.values()): lambda parts: dict(enumerate(parts)).values(),
    type({}.items()): lambda parts: dict(parts).items(),
}
_REFILL: dict[type, Callable[[Any, list[Any]], None]] = {
    list: _fill_list,
    dict: _fill_dict,
    OrderedDict: _fill_dict,
    Counter: _fill_dict,
    defaultdict: _fill_defaultdict,
    set: _fill_set,
    deque: _fill_deque,
    bytearray: _fill_bytearray,
}
_TAGS = {kind: kind.__name__ for kind in _WRITERS}
_KINDS = {tag: kind for kind, tag in _TAGS.items()}

_BASES: list[tuple[type, Callable[[Any], Any]]] = [
    (int, lambda value: int.__add__(value, 0)),
    (float, lambda value: float.__add__(value, 0.0)),
    (str, lambda value: str.__add__(value, "")),
    (bytes, lambda value: bytes.__add__(value, b"")),
    (complex, lambda value: complex.__add__(value, 0)),
    (tuple, lambda value: tuple(tuple.__iter__(value))),
    (list, lambda value: list(list.__iter__(value))),
    (dict, lambda value: dict(_pairs(value))),
    (frozenset, lambda value: frozenset(frozenset.__iter__(value))),
    (set, lambda value: set(set.__iter__(value))),
    (deque, lambda value: deque(deque.__iter__(value))),
]
"""The content of an instance of a subclass, past any method that it overrides."""


def _numpy_parts(value: Any) -> Json | None:
    """An array or scalar of numbers, truth values or text; None for other objects of numpy."""
    import numpy as np

    scalar = issubclass(type(value), np.generic)
    if type(value) is not np.ndarray and not scalar:
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "biufcSU":
        return None
    return {"t": "numpy", "v": [array.dtype.str, list(array.shape), array.tobytes().hex(), scalar]}


def _numpy_value(dtype: str, shape: list[int], content: str, scalar: bool) -> Any:
    import numpy as np

    kind = np.dtype(dtype)
    if kind.kind not in "biufcSU":
        raise Malformed(f"an array of {dtype}")
    array = np.frombuffer(bytes.fromhex(content), dtype=kind).reshape(shape).copy()
    return array[()] if scalar else array
