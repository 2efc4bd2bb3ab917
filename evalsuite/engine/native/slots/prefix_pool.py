"""Keys and values of several prefixes in one memory, so that one captured step serves rows of any of them.

A captured step reads the first tokens of the pool, whatever prefixes are there; tensors that are part of its
inputs say where the prefix of each row begins, and how long it is. The pool's addresses change only if it
grows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from evalsuite.engine.native.slots.cache import Prefix, SlotLayer

PREFIXES = 4
"""Prefixes of the longest one's length that fit: rows of one prefix finish while the next ones begin."""
PLACE_STEP = 128
"""Tokens in whose multiples prefixes are placed, and the pool is read: the pages of `paged`."""


def place_of(length: int) -> int:
    """Tokens of the place of a prefix with `length` tokens."""
    return -(-length // PLACE_STEP) * PLACE_STEP


@dataclass(frozen=True, slots=True)
class PooledRows:
    """The prefixes of a pass's rows in the pool."""

    pool: "PrefixPool"
    starts: torch.Tensor
    """(rows,) first token of each row's prefix in the pool."""
    lengths: torch.Tensor
    """(rows,) tokens of each row's prefix."""
    read: int
    """Tokens of the pool that the pass reads."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the prefixes of all rows are in the pool."""

    starts: Sequence[int]
    """The first token of each row's prefix; 0 for the empty prefix."""
    end: int
    """The end of the last place."""


class PrefixPool:
    """The pool of one slot cache; `layers` are the cache's layers."""

    def __init__(self, layers: Sequence[SlotLayer], tokens: int = 0) -> None:
        """Reserve memory for `tokens` tokens; without, the first prefix decides."""
        self._layers = layers
        self._places: dict[Prefix, int] = {}
        """The first token of each prefix."""
        self._reserve(tokens)

    def _reserve(self, tokens: int) -> None:
        """Allocate the memory anew; every prefix has to be placed again."""
        self.tokens = place_of(tokens)
        """How many tokens fit."""
        self._places.clear()
        # Zeros: even a masked NaN would turn a query's output into NaN.
        self.parts = [
            tuple(part.new_zeros((part.shape[1], self.tokens, part.shape[3])) for part in layer.by_token)
            for layer in self._layers
        ]
        """By layer, keys and values (key heads, tokens, width); empty without attention."""

    def place(self, prefixes: Sequence[Prefix]) -> Placed | None:
        """Place the prefixes of all rows, and free the places of all others; None if they do not fit."""
        if not any(self.parts):
            return Placed([0] * len(prefixes), 0)
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
        ends = (start + place_of(prefix.length) for prefix, start in self._places.items())
        return Placed([self._places.get(prefix, 0) for prefix in prefixes], max(ends, default=0))

    def _free_others(self, distinct: Collection[Prefix]) -> None:
        for prefix in self._places.keys() - set(distinct):
            del self._places[prefix]

    def _gap(self, length: int) -> int | None:
        """The first token of the first gap for `length` tokens; None if there is none."""
        end = 0
        for prefix, start in sorted(self._places.items(), key=lambda place: place[1]):
            if start - end >= length:
                break
            end = start + place_of(prefix.length)
        return end if end + length <= self.tokens else None

    def _write(self, prefix: Prefix, start: int) -> None:
        self._places[prefix] = start
        end = start + prefix.length
        for parts, layer in zip(self.parts, prefix.layers, strict=True):
            for part, new in zip(parts, (layer.keys, layer.values), strict=False):
                assert new is not None
                # A layer with a window keeps the last tokens only; the earlier ones are out of reach.
                part[:, end - new.shape[2] : end] = new[0]


def _is_finite(prefix: Prefix) -> bool:
    """Whether no key or value is NaN or infinite, which would reach the rows of other prefixes."""
    parts = [part for layer in prefix.layers for part in (layer.keys, layer.values) if part is not None]
    return bool(torch.stack([part.isfinite().all() for part in parts]).all()) if parts else True
