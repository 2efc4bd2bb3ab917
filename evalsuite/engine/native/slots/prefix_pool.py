"""Keys and values of several prefixes in one memory, so that one captured step serves rows of any of them.

A captured step reads the first tokens of the pool, whatever prefixes are there; tensors that are part of its
inputs name the prefix of each row. The pool's addresses change only if it grows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from evalsuite.engine.native.slots.cache import Prefix, SlotLayer

PREFIXES = 4
"""Prefixes of the longest one's length that fit: rows of one prefix finish while the next ones begin."""
PLACE_STEP = 16
"""Tokens in whose multiples prefixes are placed."""
READ_STEP = 128
"""Tokens in whose multiples the pool is read."""
NONE = -1
"""The number of the empty prefix, which owns no token."""
FREE = 0
"""The owner of a free token."""


def place_of(length: int) -> int:
    """Tokens of the place of a prefix with `length` tokens."""
    return -(-length // PLACE_STEP) * PLACE_STEP


@dataclass(frozen=True, slots=True)
class PooledRows:
    """The prefixes of a pass's rows in the pool."""

    pool: "PrefixPool"
    numbers: torch.Tensor
    """(rows,) number of each row's prefix."""
    lengths: torch.Tensor
    """(rows,) tokens of each row's prefix."""
    read: int
    """Tokens of the pool that the pass reads."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the prefixes of all rows are in the pool."""

    numbers: Sequence[int]
    """The number of each row's prefix."""
    end: int
    """The end of the last place."""


@dataclass(frozen=True, slots=True)
class _Place:
    number: int
    start: int
    end: int


class PrefixPool:
    """The pool of one slot cache; `layers` are the cache's layers."""

    def __init__(self, layers: Sequence[SlotLayer], device: str, tokens: int = 0) -> None:
        """Reserve memory for `tokens` tokens; without, the first prefix decides."""
        self._layers = layers
        self._device = device
        self._places: dict[Prefix, _Place] = {}
        self._last = FREE
        """The last number that was given to a prefix."""
        self._reserve(tokens)

    def _reserve(self, tokens: int) -> None:
        """Allocate the memory anew; every prefix has to be placed again."""
        self.tokens = -(-tokens // READ_STEP) * READ_STEP
        """How many tokens fit."""
        self._places.clear()
        self.owners = torch.full((self.tokens,), FREE, device=self._device)
        """(tokens,) number of the prefix that owns a token."""
        self.positions = torch.zeros(self.tokens, dtype=torch.long, device=self._device)
        """(tokens,) position of a token in its prefix."""
        # Zeros: even a masked NaN would turn a query's output into NaN.
        self.parts = [
            tuple(part.new_zeros((part.shape[1], self.tokens, part.shape[3])) for part in layer.by_token)
            for layer in self._layers
        ]
        """By layer, keys and values (key heads, tokens, width); empty without attention."""

    def place(self, prefixes: Sequence[Prefix]) -> Placed | None:
        """Place the prefixes of all rows, and free the places of all others; None if they do not fit."""
        if not any(self.parts):
            return Placed([NONE] * len(prefixes), 0)
        distinct = list(dict.fromkeys(prefix for prefix in prefixes if prefix.length))
        self._free_others(distinct)
        longest = max((prefix.length for prefix in distinct), default=0)
        if longest > self.tokens:
            self._reserve(PREFIXES * place_of(longest))
        if sum(place_of(prefix.length) for prefix in distinct) > self.tokens:
            return None
        new = [prefix for prefix in distinct if prefix not in self._places]
        if not all(map(_is_finite, new)):
            return None
        for prefix in sorted(new, key=lambda prefix: -prefix.length):
            start = self._gap(prefix.length)
            if start is None:  # The gaps are too small: all move together.
                self._free_others(())
                return self.place(prefixes)
            self._write(prefix, start)
        numbers = [self._places[prefix].number if prefix.length else NONE for prefix in prefixes]
        return Placed(numbers, max((place.end for place in self._places.values()), default=0))

    def _free_others(self, distinct: Collection[Prefix]) -> None:
        for prefix in self._places.keys() - set(distinct):
            place = self._places.pop(prefix)
            self.owners[place.start : place.end] = FREE

    def _gap(self, length: int) -> int | None:
        """The first token of the first gap for `length` tokens; None if there is none."""
        start = 0
        for place in sorted(self._places.values(), key=lambda place: place.start):
            if place.start - start >= length:
                break
            start = place_of(place.end)
        return start if start + length <= self.tokens else None

    def _write(self, prefix: Prefix, start: int) -> None:
        self._last += 1
        end = start + prefix.length
        self._places[prefix] = _Place(self._last, start, end)
        self.owners[start:end] = self._last
        torch.arange(prefix.length, out=self.positions[start:end])
        for parts, layer in zip(self.parts, prefix.layers, strict=True):
            for part, new in zip(parts, (layer.keys, layer.values), strict=False):
                assert new is not None
                # A layer with a window keeps the last tokens only; the earlier ones are out of reach.
                part[:, end - new.shape[2] : end] = new[0]


def _is_finite(prefix: Prefix) -> bool:
    """Whether no key or value is NaN or infinite, which would reach the rows of other prefixes."""
    parts = [part for layer in prefix.layers for part in (layer.keys, layer.values) if part is not None]
    return bool(torch.stack([part.isfinite().all() for part in parts]).all()) if parts else True
