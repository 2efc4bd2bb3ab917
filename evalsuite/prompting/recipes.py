"""Reads recipes: folders of prompt specs as YAML."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from evalsuite.errors import UserError
from evalsuite.files.strict import Strict, read_strict
from evalsuite.prompting.spec import FORMATS, PromptSpec
from evalsuite.prompting.suites import suite_files


class RecipeInfo(Strict):
    """The description of a recipe (`recipe.yaml`)."""

    title: str
    publication: str = ""
    reference: str = ""
    version: int = 1
    score: Literal["form", "best_form"] = "form"
    """form: each form of a task has its own score.

    best_form: the score of a task is that of its better form (OLMES); an address without a form selects all
        forms.
    """
    averaged: bool = False
    """Whether a run shows averages over the recipe's tasks."""
    by_name_only: tuple[str, ...] = ()
    """Tasks that no pattern selects, since not everybody can get their data."""
    harness: str = ""
    """Harness (entry point of `evalsuite.harnesses`) for tasks that the recipe has no spec of."""


@dataclass(frozen=True)
class Recipe:
    """A folder of prompt specs, which are read on demand: listing a recipe parses none of them."""

    name: str
    folder: Traversable

    @cached_property
    def info(self) -> RecipeInfo:
        """Title and source; raises UserError if `recipe.yaml` is not valid."""
        return read_strict(RecipeInfo, self.folder / "recipe.yaml")

    @cached_property
    def specs(self) -> dict[tuple[str, str], Traversable]:
        """Files by task and form; the form is a format or a variant, and empty for a task's default form."""
        files = {}
        for file in self.folder.iterdir():
            stem, _, suffix = file.name.rpartition(".")
            if suffix == "yaml" and stem != "recipe":
                task, _, form = stem.partition(".")
                files[task, form] = file
        return files

    @cached_property
    def suites(self) -> dict[str, Traversable]:
        """Files of the recipe's suites by address; listing parses none of them."""
        return suite_files(self.name, self.folder)

    def load(self, task: str, form: str = "") -> PromptSpec:
        """The validated spec; raises UserError that names file and field."""
        file = self.specs[task, form]
        known = {"recipe": self.name, "task": task}
        spec = read_strict(PromptSpec, file, known if form in ("", *FORMATS) else known | {"variant": form})
        if form in FORMATS and spec.format != form:
            raise UserError(
                f"Prompt spec {file} has format '{form}' in its name, but declares '{spec.format}'."
            )
        return spec


def builtin_recipes() -> Iterator[Recipe]:
    """The recipes that evalsuite ships."""
    return recipes_in(resources.files("evalsuite.prompts"))


def recipes_in(folder: Traversable | Path) -> Iterator[Recipe]:
    """All sub-folders with a `recipe.yaml`, sorted by name."""
    for child in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if child.is_dir() and (child / "recipe.yaml").is_file():
            yield Recipe(child.name, child)


__all__ = ["FORMATS", "Recipe", "RecipeInfo", "builtin_recipes", "recipes_in"]
