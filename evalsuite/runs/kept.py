"""Documents and encoded requests that a series of runs makes once: `watch` and `sweep`."""

from collections.abc import Callable, Hashable
from typing import TypeVar

T = TypeVar("T")


class Kept:
    """Remembers what was made, by everything that it depends on."""

    def __init__(self) -> None:
        self._made: dict[Hashable, object] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returned for an equal key before, else what it returns now."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]  # type: ignore[return-value]


class KeptByNobody(Kept):
    """Remembers nothing: a single run."""

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returns."""
        return make()
