"""The types that are sent between processes as plain data, and their parts."""

import datetime
import operator
import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

SCALARS = frozenset({type(None), bool, int, float, str})
"""Types that JSON has."""
_TYPES = (
    *(type(None), bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict, range),
    *(object, Counter, OrderedDict, deque, Decimal),
)
TYPES_BY_NAME: dict[str, Any] = {kind.__name__: kind for kind in _TYPES}
"""Types that can be values."""
TYPE_NAMES = {kind: name for name, kind in TYPES_BY_NAME.items()}
SINGLETONS = {"Ellipsis": ..., "NotImplemented": NotImplemented}


@cache
def named_tuple(name: str, fields: tuple[str, ...]) -> type:
    """A named tuple like the candidate's; raises ValueError for an invalid field name.

    It does not use `collections.namedtuple`, which compiles code from the field names.
    """
    if not all(field.isidentifier() and not field.startswith("_") for field in fields):
        raise ValueError("no field's name")
    by_name = {field: property(operator.itemgetter(place)) for place, field in enumerate(fields)}
    return type(name, (tuple,), {"__slots__": (), "_fields": fields, "__repr__": _as_named_tuple, **by_name})


def _as_named_tuple(value: Any) -> str:
    parts = ", ".join(f"{field}={part!r}" for field, part in zip(value._fields, value, strict=False))
    return f"{type(value).__name__}({parts})"


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


def travels(value: Any) -> bool:
    """Whether the parts of a value of a known type describe it completely."""
    return getattr(value, "maxlen", None) is None and getattr(value, "tzinfo", None) in (None, datetime.UTC)


WRITERS: dict[type, Callable[[Any], Iterable[Any]]] = {
    dict: _pairs,
    OrderedDict: _pairs,
    Counter: _pairs,
    defaultdict: lambda value: [
        value.default_factory if value.default_factory in TYPE_NAMES else None,
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
"""The parts of a value, by its exact type."""
READERS: dict[type, Callable[[list[Any]], Any]] = {
    frozenset: frozenset,
    bytes: lambda parts: bytes.fromhex(parts[0]),
    complex: lambda parts: complex(*parts),
    range: lambda parts: range(*parts),
    slice: lambda parts: slice(*parts),
    Decimal: lambda parts: Decimal(parts[0]),
    Fraction: lambda parts: Fraction(*map(operator.index, parts)),
    datetime.datetime: lambda parts: datetime.datetime.fromisoformat(parts[0]),
    datetime.date: lambda parts: datetime.date.fromisoformat(parts[0]),
    datetime.time: lambda parts: datetime.time.fromisoformat(parts[0]),
    datetime.timedelta: lambda parts: datetime.timedelta(*parts),
    type({}.keys()): lambda parts: dict.fromkeys(parts).keys(),
    type({}.values()): lambda parts: dict(enumerate(parts)).values(),
    type({}.items()): lambda parts: dict(parts).items(),
}
"""The value from its parts, for immutable types."""
REFILL: dict[type, Callable[[Any, list[Any]], None]] = {
    list: _fill_list,
    dict: _fill_dict,
    OrderedDict: _fill_dict,
    Counter: _fill_dict,
    defaultdict: _fill_defaultdict,
    set: _fill_set,
    deque: _fill_deque,
    bytearray: _fill_bytearray,
}
"""Fills an existing container with the parts, for mutable types."""
TAGS = {kind: kind.__name__ for kind in WRITERS}
KINDS = {tag: kind for kind, tag in TAGS.items()}

BASES: list[tuple[type, Callable[[Any], Any]]] = [
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
"""The content of a subclass's instance, without calling methods that it overrides."""


_NUMBERS_OR_TEXT = re.compile(r"[<>|=][biufcSU]\d+")
"""numpy's names of data types of numbers, booleans and text."""


def numpy_parts(value: Any) -> dict[str, Any] | None:
    """An array or scalar of numbers, booleans or text as JSON; None for other objects of numpy."""
    import numpy as np

    scalar = issubclass(type(value), np.generic)
    if type(value) is not np.ndarray and not scalar:
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "biufcSU":
        return None
    return {"t": "numpy", "v": [array.dtype.str, list(array.shape), array.tobytes().hex(), scalar]}


def numpy_value(dtype: str, shape: list[int], content: str, scalar: bool) -> Any:
    """The inverse of `numpy_parts`; raises ValueError or TypeError."""
    import numpy as np

    if not _NUMBERS_OR_TEXT.fullmatch(dtype):
        raise ValueError("not an array of numbers or text")
    kind = np.dtype(dtype)
    array = np.frombuffer(bytes.fromhex(content), dtype=kind).reshape(shape).copy()
    return array[()] if scalar else array
