"""What can be run: tasks, recipes, and how an address finds them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from evalsuite.errors import UnknownName, UserError
from evalsuite.prompting.recipes import Recipe, builtin_recipes
from evalsuite.prompting.spec import FORMATS, PromptSpec
from evalsuite.registry.addresses import Address, parse_address
from evalsuite.registry.plugins import Harness, builtin_tasks, harness, included, installed_tasks
from evalsuite.registry.selected import Selected
from evalsuite.task import Task

DEFAULT_RECIPES = ("nemotron_h", "nemotron_3")
"""Where a bare task name is looked up, in this order; then any recipe that alone has it."""


class Registry:
    """All tasks and recipes that are known to this process."""

    def __init__(
        self, tasks: Iterable[Task], recipes: Iterable[Recipe], include: Sequence[Path] = ()
    ) -> None:
        """Raises UserError where two plug-ins define the same name.

        Args:
            tasks: task plug-ins.
            recipes: folders of prompt specs.
            include: paths in which other harnesses, too, look for definitions.
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
                        f"Task '{task.name}' has a prompt spec for '{spec.task}'; name the same task."
                    )
                # As with files, a task's first spec of a recipe is its default form there.
                first = all(other.recipe != spec.recipe for other in task.prompts[:position])
                form = spec.variant or ("" if first else spec.format)
                _add(self._inline, (spec.recipe, spec.task, form), spec, "prompt spec")

    @classmethod
    def load(cls, include: Sequence[Path] = ()) -> "Registry":
        """Built in, installed, and included by path."""
        tasks, recipes = included(include)
        return cls(
            [*builtin_tasks(), *installed_tasks(), *tasks],
            [*builtin_recipes(), *recipes],
            include,
        )

    def recipe_names(self) -> list[str]:
        """Recipes by folder, then those of specs that plug-ins define inline."""
        return list(dict.fromkeys([*self.recipes, *(recipe for recipe, _, _ in self._inline)]))

    def forms(self) -> list[tuple[str, str, str]]:
        """(recipe, task, form) of every spec: a format or a variant; empty for a task's default form."""
        return self._forms

    @cached_property
    def _forms(self) -> list[tuple[str, str, str]]:
        files = [
            (recipe.name, task, form) for recipe in self.recipes.values() for task, form in recipe.specs()
        ]
        return sorted({*files, *self._inline})

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
        """Tasks of the addresses, in order, each once.

        Args:
            texts: addresses; a pattern stands for every task of a recipe that fits it.
            recipe: recipe of bare names, in place of the default ones.
            shots: number of shots where an address gives none, in place of the spec's.

        Raises:
            UserError: an unknown recipe, task or format, or a pattern that fits nothing.
        """
        if recipe is not None:
            self._known_recipe(recipe)
        chosen: dict[str, Selected] = {}
        for text in texts:
            address = parse_address(text)
            for task in self._matching(address, recipe):
                for selected in self._selected(address, task, recipe, shots):
                    chosen.setdefault(selected.address, selected)
        if not chosen:
            raise UserError("No task given; name one or more, for example --tasks mmlu,gsm8k.")
        return list(chosen.values())

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
        matching = [name for name in names if fnmatchcase(name, address.task)]
        if address.form is not None:  # Those that are asked so; where none is, the first says what there is.
            matching = [name for name in matching if self._has_form(within, name, address.form)] or matching[
                :1
            ]
        if not matching:
            raise UserError(f"No task of recipe '{within}' fits '{address.task}'; it has {', '.join(names)}.")
        return matching

    def _selected(
        self, address: Address, task: str, recipe: str | None, shots: int | None
    ) -> Iterator[Selected]:
        """One form of the task, or all forms where the better one counts and the address names none."""
        within = address.recipe or recipe or self.default_recipe(task)
        count = address.shots if address.shots is not None else shots
        if (other := self._harness_of(within)) and task not in self._tasks_of(within):
            if task not in other.names:
                self._refuse_of_others(within, task)
                known = [*self._tasks_of(within), *other.names]
                raise UnknownName(
                    "task", task, known, "See 'evalsuite list tasks' and 'evalsuite list lm-eval'."
                )
            for part in other.select(task, address.form, count):
                ours = part.spec.task in self._tasks_of(within)
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

    def _has_form(self, recipe: str, task: str, form: str) -> bool:
        specs = (self.spec(recipe, task, one) for one in self._forms_of(recipe, task))
        return any(form == (spec.variant or spec.format) for spec in specs)

    def _best_form_counts(self, recipe: str) -> bool:
        return recipe in self.recipes and self.recipes[recipe].info.score == "best_form"

    def _in_form(self, within: str, task: str, forms: list[str], form: str, count: int | None) -> Selected:
        spec = self.spec(within, task, form)
        if spec.plugin not in self.tasks:
            raise UnknownName("task", spec.plugin, self.tasks, f"{within}/{task} asks its documents.")
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
        """Names by which recipes ask tasks, and those of task plug-ins."""
        return sorted({*self.tasks, *(task for _, task, _ in self.forms())})

    def _tasks_of(self, recipe: str) -> list[str]:
        return list(dict.fromkeys(task for name, task, _ in self.forms() if name == recipe))

    def _harness_of(self, recipe: str) -> Harness | None:
        """What runs the tasks that a recipe has no spec of."""
        name = self.recipes[recipe].info.harness if recipe in self.recipes else ""
        if name and name not in self._harnesses:
            self._harnesses[name] = harness(name, self._include)
        return self._harnesses.get(name)

    def _forms_of(self, recipe: str, task: str) -> list[str]:
        self._known_recipe(recipe)
        forms = [form for name, known, form in self.forms() if (name, known) == (recipe, task)]
        if not forms and task not in self.task_names():
            raise UnknownName("task", task, self.task_names(), "See 'evalsuite list tasks'.")
        if not forms:
            self._refuse_of_others(recipe, task)
            raise UserError(f"Recipe '{recipe}' has no task '{task}'; it is in no recipe.")
        return forms

    def _refuse_of_others(self, recipe: str, task: str) -> None:
        """Raises UserError where other recipes have the task."""
        if others := self._recipes_of(task):
            raise UserError(f"Recipe '{recipe}' has no task '{task}'; it is in {', '.join(others)}.")

    def _form(self, address: Address, recipe: str, task: str, forms: list[str]) -> str:
        """The form's file key for the format that an address names."""
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
            f"{recipe}/{task} is not asked in the format '{address.form}'; it has {', '.join(sorted(by_name))}."
        )

    def default_recipe(self, task: str) -> str:
        """The recipe of a bare task name; raises UserError where several have it and none is a default."""
        default = self._default_recipe(task)
        if default is not None:
            return default
        having = self._recipes_of(task)
        if not having and task not in self.tasks:
            raise UnknownName("task", task, self.task_names(), "See 'evalsuite list tasks'.")
        raise UserError(
            f"Task '{task}' is in the recipes {', '.join(having)}; say which, for example {having[0]}/{task}."
            if having
            else f"Task '{task}' has no prompt spec in any recipe."
        )

    def _default_recipe(self, task: str) -> str | None:
        """The same, or None."""
        having = self._recipes_of(task)
        default = next((name for name in DEFAULT_RECIPES if name in having), None)
        return having[0] if default is None and len(having) == 1 else default

    def _recipes_of(self, task: str) -> list[str]:
        return list(dict.fromkeys(recipe for recipe, known, _ in self.forms() if known == task))

    def _known_recipe(self, name: str) -> None:
        if name not in self.recipe_names():
            raise UnknownName("recipe", name, self.recipe_names(), "See 'evalsuite list recipes'.")


def _has_subsets(spec: PromptSpec, task: Task) -> None:
    for name, aggregate in spec.aggregates.items():
        if aggregate.subset not in task.subsets:
            known = ", ".join(task.subsets) or "none"
            raise UserError(
                f"{spec.recipe}/{spec.task}: aggregate '{name}' is over the subset '{aggregate.subset}'; task "
                f"'{task.name}' has {known}."
            )


def _with_shots(spec: PromptSpec, count: int) -> PromptSpec:
    """The spec with another number of shots, validated again."""
    shots = spec.shots.model_dump(exclude_unset=True) | {"count": count}
    try:
        return PromptSpec.model_validate(spec.model_dump(exclude_unset=True) | {"shots": shots})
    except ValueError as error:
        reason = (
            error.errors()[0]["msg"].removeprefix("Value error, ") if hasattr(error, "errors") else str(error)
        )
        raise UserError(f"{spec.recipe}/{spec.task} cannot be asked with {count} shots: {reason}.") from error


def _add(known: dict, name: object, value: object, kind: str) -> None:
    if name in known:
        shown = "/".join(filter(None, name)) if isinstance(name, tuple) else name
        raise UserError(f"The {kind} '{shown}' is defined twice; rename one of the plug-ins' definitions.")
    known[name] = value
