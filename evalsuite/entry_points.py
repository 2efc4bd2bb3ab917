"""What installed packages offer evalsuite by name: entry points of a group, evalsuite's own among them.

An entry point's module is imported when the object that it names is asked for, so that nobody pays for what
is not used.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Generic, TypeVar

from evalsuite.errors import UnknownName, UserError

T = TypeVar("T")


@functools.cache
def installed_entry_points(group: str) -> metadata.EntryPoints:
    """The entry points of a group in every installed package, read once in a process."""
    return metadata.entry_points(group=group)


@dataclass(frozen=True, slots=True)
class EntryPointGroup(Generic[T]):
    """The entry points of one group, each of which names an object of one kind."""

    group: str
    noun: str
    """What messages call one of them, for example `engine`."""
    plural: str
    kind: type[T]
    """What an entry point must name an instance of."""

    def names(self) -> list[str]:
        """The names in the group, sorted; nothing is imported."""
        return sorted({entry.name for entry in installed_entry_points(self.group)})

    def load(self, name: str) -> T:
        """The object called `name`.

        Raises:
            UnknownName: no installed package has it.
            UserError: the package that has it cannot be imported, or names an object of another kind.
        """
        for entry in installed_entry_points(self.group).select(name=name):
            return self._import(entry)
        names = self.names()
        raise UnknownName(self.noun, name, names, f"{self.plural.capitalize()} are {', '.join(names)}.")

    def load_all(self) -> Iterator[T]:
        """Every object of the group, by name; errors as in `load`."""
        return map(self.load, self.names())

    def _import(self, entry: metadata.EntryPoint) -> T:
        try:
            found = entry.load()
        except (ImportError, AttributeError) as error:
            raise UserError(
                f"The {self.noun} '{entry.name}' ({entry.value}) cannot be imported: {error}."
            ) from error
        if not isinstance(found, self.kind):
            expected = f"{self.kind.__module__}.{self.kind.__qualname__}"
            raise UserError(f"The {self.noun} '{entry.name}' ({entry.value}) must be an {expected}.")
        return found
