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


class RecipeInfo(Strict):
    """What a recipe stands for (`recipe.yaml`)."""

    title: str
    publication: str = ""
    reference: str = ""
    version: int = 1
    score: Literal["form", "best_form"] = "form"
    """form: each form of a task has its score. best_form: the task's score is its better form's (OLMES), so
    an address without a form means all of them."""
    averaged: bool = False
    """Its tasks have averages, which a run shows below their scores."""
    harness: str = ""
    """The harness (entry point of `evalsuite.harnesses`) that runs the tasks that the recipe has no spec
    of."""


@dataclass(frozen=True)
class Recipe:
    """A folder of prompt specs. Specs are read when asked for: listing a recipe parses none of them."""

    name: str
    folder: Traversable

    @cached_property
    def info(self) -> RecipeInfo:
        """Title and origin; raises UserError where `recipe.yaml` is not valid."""
        return read_strict(RecipeInfo, self.folder / "recipe.yaml")

    def specs(self) -> dict[tuple[str, str], Traversable]:
        """Files by (task, form): a format or the name of a variant; empty in the file of a task's default
        form."""
        files = {}
        for file in self.folder.iterdir():
            stem, _, suffix = file.name.rpartition(".")
            if suffix == "yaml" and stem != "recipe":
                task, _, form = stem.partition(".")
                files[task, form] = file
        return files

    def load(self, task: str, form: str = "") -> PromptSpec:
        """The validated spec; raises UserError naming file and field."""
        file = self.specs()[task, form]
        known = {"recipe": self.name, "task": task}
        spec = read_strict(PromptSpec, file, known if form in ("", *FORMATS) else known | {"variant": form})
        if form in FORMATS and spec.format != form:
            raise UserError(f"Prompt spec {file} is named for format '{form}' and declares '{spec.format}'.")
        return spec


def builtin_recipes() -> Iterator[Recipe]:
    """The recipes that evalsuite ships."""
    return recipes_in(resources.files("evalsuite.prompts"))


def recipes_in(folder: Traversable | Path) -> Iterator[Recipe]:
    """Every sub-folder with a `recipe.yaml`, by name."""
    for child in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if child.is_dir() and (child / "recipe.yaml").is_file():
            yield Recipe(child.name, child)


__all__ = ["FORMATS", "Recipe", "RecipeInfo", "builtin_recipes", "recipes_in"]
