"""The suites of all recipes, and how an address finds them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from importlib.resources.abc import Traversable

from evalsuite.errors import UnknownName, UserError
from evalsuite.prompting.recipes import Recipe
from evalsuite.prompting.suites import Suite, read_suite
from evalsuite.registry.addresses import Address
from evalsuite.registry.selected import Selected


class Suites:
    """Suites by address; a file is read when its suite is asked for.

    An address that is both a suite's and a task's is the suite's.
    """

    def __init__(self, recipes: Iterable[Recipe], tasks_of: Callable[[str, str], Iterator[Selected]]) -> None:
        """Know the suites of the recipes; `tasks_of` returns the tasks of (address, default recipe)."""
        self._recipes = recipes
        self._tasks_of = tasks_of
        self._read: dict[str, Suite] = {}

    @cached_property
    def _files(self) -> dict[str, tuple[str, Traversable]]:
        """(recipe, file) by address."""
        return {name: (recipe.name, file) for recipe in self._recipes for name, file in recipe.suites.items()}

    def __contains__(self, text: str) -> bool:
        return text in self._files

    def names(self) -> list[str]:
        """Addresses of all suites."""
        return list(self._files)

    def named(self, name: str) -> Suite:
        """The suite of that address; raises UserError if its file is not valid."""
        if name not in self._read:
            recipe, file = self._files[name]
            self._read[name] = read_suite(name, recipe, file, lambda member: self._member(member, recipe))
        return self._read[name]

    def among(self, texts: Sequence[str]) -> tuple[Suite, ...]:
        """The suites among addresses, in order, without duplicates."""
        return tuple(self.named(text) for text in dict.fromkeys(texts) if text in self)

    def _member(self, member: str, recipe: str) -> tuple[str, str]:
        if member in self:
            raise UserError(f"the member '{member}' is a suite; name tasks or groups.")
        found = list(self._tasks_of(member, recipe))
        if len(found) != 1:
            raise UserError(f"the member '{member}' stands for {len(found)} tasks; name one of them.")
        return found[0].name, found[0].address

    def refuse_other_form(self, text: str, address: Address) -> None:
        """Raises UserError for a form or number of shots that a suite does not have."""
        name = f"{address.recipe}/{address.task}" if address.recipe else address.task
        forms = [suite for suite in self._files if suite.partition(":")[0] == name]
        if forms and address.shots is not None:
            raise UserError(f"'{name}' is a suite, which has its own numbers of shots; leave out '@'.")
        if forms:
            raise UnknownName("suite", text, forms, f"There are {', '.join(forms)}.")
