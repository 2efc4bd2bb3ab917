"""Tasks and recipes, and how a task address finds them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from evalsuite.errors import UnknownName, UserError, plain_message
from evalsuite.prompting.recipes import Recipe, builtin_recipes
from evalsuite.prompting.spec import FORMATS, PromptSpec
from evalsuite.registry.addresses import Address, parse_address
from evalsuite.registry.plugins import Harness, builtin_tasks, harness, included, installed_tasks
from evalsuite.registry.selected import Selected
from evalsuite.registry.suites import Suites
from evalsuite.task import Task

DEFAULT_RECIPES = ("nemotron_h", "nemotron_3")
"""Recipes that a task name without a recipe is looked up in, in order; then any recipe that alone has it."""

_Name = TypeVar("_Name", str, tuple[str, str, str])
_Value = TypeVar("_Value")


class Registry:
    """All tasks and recipes of this process."""

    def __init__(
        self, tasks: Iterable[Task], recipes: Iterable[Recipe], include: Sequence[Path] = ()
    ) -> None:
        """Register tasks and recipes; raises UserError if two plug-ins define the same name.

        Args:
            tasks: task plug-ins.
            recipes: folders of prompt specs.
            include: paths that other harnesses search for definitions, too.
        """
        self._include = tuple(include)
        self._harnesses: dict[str, Harness] = {}
        self.tasks: dict[str, Task] = {}
        self.recipes: dict[str, Recipe] = {}
        self._inline: dict[tuple[str, str, str], PromptSpec] = {}
        self._read: dict[tuple[str, str, str], PromptSpec] = {}
        for recipe in recipes:
            _add(self.recipes, recipe.name, recipe, "recipe")
        for task in tasks:
            _add(self.tasks, task.name, task, "task")
            for position, spec in enumerate(task.prompts):
                if spec.plugin != task.name:
                    raise UserError(
                        f"Task '{task.name}' has a prompt spec for '{spec.task}'; both must name the same "
                        "task."
                    )
                # As with files, a task's first spec in a recipe is its default form.
                first = all(
                    (other.recipe, other.task) != (spec.recipe, spec.task)
                    for other in task.prompts[:position]
                )
                form = spec.variant or ("" if first else spec.format)
                _add(self._inline, (spec.recipe, spec.task, form), spec, "prompt spec")

    @classmethod
    def load(cls, include: Sequence[Path] = ()) -> "Registry":
        """Load built-in, installed and included tasks and recipes."""
        tasks, recipes = included(include)
        return cls(
            [*builtin_tasks(), *installed_tasks(), *tasks],
            [*builtin_recipes(), *recipes],
            include,
        )

    def recipe_names(self) -> list[str]:
        """Names of recipes in folders, then of recipes that plug-ins define inline."""
        return list(dict.fromkeys([*self.recipes, *(recipe for recipe, _, _ in self._inline)]))

    def forms(self) -> list[tuple[str, str, str]]:
        """(recipe, task, form) of every spec; the form is a format or variant, empty for the default form."""
        return self._forms

    @cached_property
    def _forms(self) -> list[tuple[str, str, str]]:
        files = [(recipe.name, task, form) for recipe in self.recipes.values() for task, form in recipe.specs]
        return sorted({*files, *self._inline})

    @cached_property
    def _forms_by_task(self) -> dict[str, dict[str, list[str]]]:
        """Forms by task and recipe, both in the order of `forms`."""
        by_task: dict[str, dict[str, list[str]]] = {}
        for recipe, task, form in self.forms():
            by_task.setdefault(task, {}).setdefault(recipe, []).append(form)
        return by_task

    def spec(self, recipe: str, task: str, form: str = "") -> PromptSpec:
        """The validated spec; `form` as in `forms`."""
        key = (recipe, task, form)
        if key in self._inline:
            return self._inline[key]
        if key not in self._read:
            self._read[key] = self.recipes[recipe].load(task, form)
        return self._read[key]

    def select(
        self, texts: Sequence[str], recipe: str | None = None, shots: int | None = None
    ) -> list[Selected]:
        """The tasks of the addresses, in order, without duplicates.

        Args:
            texts: addresses; a pattern selects all tasks of a recipe that match it, a suite all its members.
            recipe: recipe of names without one, in place of the default recipes.
            shots: number of shots for addresses that give none, in place of the spec's.

        Raises:
            UserError: a recipe, task or format is unknown, a pattern matches nothing, or a suite is asked
                for with other shots than its own.
        """
        if recipe is not None:
            self._known_recipe(recipe)
        chosen: dict[str, Selected] = {}
        for text in texts:
            for selected in self._tasks_of_text(text, recipe, shots):
                chosen.setdefault(selected.address, selected)
        if not chosen:
            raise UserError("No task given; give one or more, for example --tasks mmlu,gsm8k.")
        return list(chosen.values())

    @cached_property
    def suites(self) -> Suites:
        """The suites of the recipes."""
        return Suites(self.recipes.values(), self._tasks_of_text)

    def _tasks_of_text(self, text: str, recipe: str | None, shots: int | None = None) -> Iterator[Selected]:
        """The tasks of one address."""
        if text in self.suites:
            if shots is not None:
                raise UserError(f"The suite '{text}' has its own numbers of shots; leave out --shots.")
            for member in self.suites.named(text).tasks.values():
                yield from self._tasks_of_text(member, None)
            return
        address = parse_address(text)
        self.suites.refuse_other_form(text, address)
        for task in self._matching(address, recipe):
            yield from self._selected(address, task, recipe, shots)

    def _matching(self, address: Address, recipe: str | None) -> list[str]:
        if not address.is_pattern:
            return [address.task]
        within = address.recipe or recipe
        if within is None:
            raise UserError(
                f"The pattern '{address.task}' needs a recipe, for example nemotron_h/{address.task}."
            )
        self._known_recipe(within)
        names = dict.fromkeys(task for name, task, _ in self.forms() if name == within)
        by_name_only = self.recipes[within].info.by_name_only if within in self.recipes else ()
        names = {name: None for name in names if name not in by_name_only}
        matching = [name for name in names if fnmatchcase(name, address.task)]
        if address.task == "*":
            matching = [name for name in matching if not self._is_corpus(within, name)] or matching
        if address.form is not None:
            in_form = [name for name in matching if self._has_form(within, name, address.form)]
            matching = in_form or matching[:1]  # If none has the form, the first one's error lists its forms.
        if not matching:
            raise UserError(
                f"No task of recipe '{within}' matches '{address.task}'; it has {', '.join(names)}."
            )
        return matching

    def _selected(
        self, address: Address, task: str, recipe: str | None, shots: int | None
    ) -> Iterator[Selected]:
        """One form of the task; all forms if the best one counts and the address names none."""
        within = address.recipe or recipe or self.default_recipe(task)
        count = address.shots if address.shots is not None else shots
        if within not in self._recipes_of(task) and (other := self._harness_of(within)):
            if task not in other.names:
                self._refuse_of_others(within, task)
                known = [*self._tasks_of(within), *other.names]
                raise UnknownName(
                    "task", task, known, "See 'evalsuite list tasks' and 'evalsuite list lm-eval'."
                )
            for part in other.select(task, address.form, count):
                ours = within in self._recipes_of(part.spec.task)
                yield from (
                    self._selected(replace(address, task=part.spec.task), part.spec.task, recipe, shots)
                    if ours
                    else [part]
                )
            return
        forms = self._forms_of(within, task)
        if address.form is None and self._best_form_counts(within):
            yield from (self._in_form(within, task, forms, form, count) for form in forms)
        else:
            yield self._in_form(within, task, forms, self._form(address, within, task, forms), count)

    def _is_corpus(self, recipe: str, task: str) -> bool:
        """Whether the task is a held-out corpus: `*` means all benchmarks, corpora are named."""
        return any(self.spec(recipe, task, form).format == "text" for form in self._forms_of(recipe, task))

    def _has_form(self, recipe: str, task: str, form: str) -> bool:
        specs = (self.spec(recipe, task, name) for name in self._forms_of(recipe, task))
        return any(form == (spec.variant or spec.format) for spec in specs)

    def _best_form_counts(self, recipe: str) -> bool:
        return recipe in self.recipes and self.recipes[recipe].info.score == "best_form"

    def _in_form(self, within: str, task: str, forms: list[str], form: str, count: int | None) -> Selected:
        spec = self.spec(within, task, form)
        if spec.plugin not in self.tasks:
            raise UnknownName("task", spec.plugin, self.tasks, f"{within}/{task} uses its documents.")
        _has_subsets(spec, self.tasks[spec.plugin])
        default = self.spec(within, task, "") if "" in forms else None
        is_default_form = default is not None and (spec.format, spec.variant) == (default.format, "")
        changed = count is not None and count != spec.shots.count
        if changed:
            spec = _with_shots(spec, count or 0)
        name = task if within == self._default_recipe(task) else f"{within}/{task}"
        in_form = "" if is_default_form else f":{spec.variant or spec.format}"
        with_shots = f"@{count}" if changed else ""
        best_of = name + with_shots if self._best_form_counts(within) and len(forms) > 1 else ""
        averaged = within in self.recipes and self.recipes[within].info.averaged
        return Selected(name + in_form + with_shots, self.tasks[spec.plugin], spec, best_of, averaged)

    def task_names(self) -> list[str]:
        """Names of tasks in recipes, and of task plug-ins."""
        return sorted({*self.tasks, *(task for _, task, _ in self.forms())})

    def _tasks_of(self, recipe: str) -> list[str]:
        return list(dict.fromkeys(task for name, task, _ in self.forms() if name == recipe))

    def _harness_of(self, recipe: str) -> Harness | None:
        """The harness for tasks that a recipe has no spec of."""
        name = self.recipes[recipe].info.harness if recipe in self.recipes else ""
        if name and name not in self._harnesses:
            self._harnesses[name] = harness(name, self._include)
        return self._harnesses.get(name)

    def _forms_of(self, recipe: str, task: str) -> list[str]:
        self._known_recipe(recipe)
        forms = self._forms_by_task.get(task, {}).get(recipe, [])
        if not forms and task not in self.task_names():
            suites = [name.removeprefix(f"{recipe}/") for name in self.suites.names()]
            raise UnknownName("task", task, [*self.task_names(), *suites], "See 'evalsuite list tasks'.")
        if not forms:
            self._refuse_of_others(recipe, task)
            raise UserError(f"Recipe '{recipe}' has no task '{task}', and no other recipe has it.")
        return forms

    def _refuse_of_others(self, recipe: str, task: str) -> None:
        """Raises UserError if other recipes have the task."""
        if others := self._recipes_of(task):
            raise UserError(f"Recipe '{recipe}' has no task '{task}'; it is in {', '.join(others)}.")

    def _form(self, address: Address, recipe: str, task: str, forms: list[str]) -> str:
        """The key of the form that an address names."""
        if address.form is None:
            return "" if "" in forms else forms[0]
        specs = {form: self.spec(recipe, task, form) for form in forms}
        by_name = {spec.variant or spec.format: form for form, spec in specs.items()}
        if address.form in by_name:
            return by_name[address.form]
        if address.form not in FORMATS:
            known = sorted({*FORMATS, *by_name})
            raise UnknownName("format", address.form, known, f"Formats are {', '.join(FORMATS)}.")
        raise UserError(
            f"{recipe}/{task} has no format '{address.form}'; it has {', '.join(sorted(by_name))}."
        )

    def default_recipe(self, task: str) -> str:
        """The recipe of a task name without one; raises UserError if none of several is a default."""
        default = self._default_recipe(task)
        if default is not None:
            return default
        having = self._recipes_of(task)
        if not having and task not in self.tasks:
            known = [*self.task_names(), *self.suites.names()]
            raise UnknownName("task", task, known, "See 'evalsuite list tasks' and 'evalsuite list suites'.")
        raise UserError(
            f"Task '{task}' is in the recipes {', '.join(having)}; choose one, for example "
            f"{having[0]}/{task}."
            if having
            else f"Task '{task}' has no prompt spec in any recipe."
        )

    def _default_recipe(self, task: str) -> str | None:
        """The recipe of a task name without one, or None."""
        having = self._recipes_of(task)
        default = next((name for name in DEFAULT_RECIPES if name in having), None)
        return having[0] if default is None and len(having) == 1 else default

    def _recipes_of(self, task: str) -> list[str]:
        return list(self._forms_by_task.get(task, {}))

    def _known_recipe(self, name: str) -> None:
        if name not in self.recipe_names():
            raise UnknownName("recipe", name, self.recipe_names(), "See 'evalsuite list recipes'.")


def _has_subsets(spec: PromptSpec, task: Task) -> None:
    for name, aggregate in spec.aggregates.items():
        if aggregate.subset not in task.subsets:
            known = ", ".join(task.subsets) or "none"
            raise UserError(
                f"{spec.recipe}/{spec.task}: aggregate '{name}' uses the subset '{aggregate.subset}'; the "
                f"subsets of task '{task.name}' are {known}."
            )


def _with_shots(spec: PromptSpec, count: int) -> PromptSpec:
    """The spec with another number of shots, validated."""
    shots = spec.shots.model_dump(exclude_unset=True) | {"count": count}
    try:
        return PromptSpec.model_validate(spec.model_dump(exclude_unset=True) | {"shots": shots})
    except ValidationError as error:
        reason = plain_message(error.errors()[0]["msg"])
        raise UserError(f"{spec.recipe}/{spec.task} cannot have {count} shots: {reason}.") from error


def _add(known: dict[_Name, _Value], name: _Name, value: _Value, kind: str) -> None:
    if name in known:
        shown = "/".join(filter(None, name)) if isinstance(name, tuple) else name
        raise UserError(f"The {kind} '{shown}' is defined twice; rename one of the plug-ins' definitions.")
    known[name] = value
