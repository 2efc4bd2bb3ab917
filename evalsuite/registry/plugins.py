"""Finds task plug-ins: built in, installed (entry-point group `evalsuite.tasks`) or included by path."""

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Protocol

from evalsuite.entry_points import EntryPointGroup
from evalsuite.errors import UserError
from evalsuite.files.strict import error_line
from evalsuite.prompting.recipes import Recipe, recipes_in
from evalsuite.task import Task
from evalsuite.types import sha256_of

if TYPE_CHECKING:
    from evalsuite.registry.selected import Selected

GROUP = "evalsuite.tasks"


class Harness(Protocol):
    """Another harness that provides tasks."""

    @property
    def names(self) -> Mapping[str, object]:
        """Names of the harness's tasks and groups."""
        ...

    def select(self, name: str, form: str | None, shots: int | None) -> Iterator["Selected"]:
        """The tasks of a known name; raises UserError if they cannot be run."""
        ...


@dataclass(frozen=True)
class HarnessKind:
    """The object that an entry point of `evalsuite.harnesses` refers to."""

    make: Callable[[Sequence[Path]], Harness]
    """Makes the harness from the included paths that contain its definitions."""
    owns: Callable[[Path], bool]
    """Whether a YAML file, or a folder of YAML files, contains definitions of this harness."""


HARNESSES = EntryPointGroup("evalsuite.harnesses", "harness", "harnesses", HarnessKind)


def harness(name: str, include: Sequence[Path] = ()) -> Harness:
    """The harness called `name`, with the definitions of included paths, which it reads on demand.

    Raises:
        UnknownName: no installed package has it.
        UserError: the package that has it cannot be imported, or names no `HarnessKind`.
    """
    kind = HARNESSES.load(name)
    return kind.make([path for path in _with_yaml(include) if kind.owns(path)])


def _with_yaml(paths: Sequence[Path]) -> list[Path]:
    return [
        path
        for path in paths
        if path.suffix in (".yaml", ".yml") or (path.is_dir() and any(path.glob("*.yaml")))
    ]


def _is_definition(path: Path) -> bool:
    """Whether the path contains definitions of another harness."""
    return any(kind.owns(candidate) for candidate in _with_yaml([path]) for kind in HARNESSES.load_all())


def builtin_tasks() -> Iterator[Task]:
    """Tasks of the modules in `evalsuite.tasks`, except modules whose names begin with `_`."""
    package = importlib.import_module("evalsuite.tasks")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("_"):
            continue
        yield from _tasks_of(importlib.import_module(f"evalsuite.tasks.{module.name}"), module.name)


def installed_tasks() -> Iterator[Task]:
    """Tasks of installed packages that name a module in the entry-point group."""
    for entry in metadata.entry_points(group=GROUP):
        try:
            module = entry.load()
        except Exception as error:
            raise UserError(
                f"The task plug-in '{entry.name}' ({entry.value}) cannot be imported: {error_line(error)}."
            ) from error
        yield from _tasks_of(module, entry.value)


def included(paths: Sequence[Path]) -> tuple[list[Task], list[Recipe]]:
    """Tasks of Python files and recipes of folders; `harness` reads YAML files of lm-eval.

    Raises:
        UserError: a path does not exist, cannot be imported, or defines neither a task nor a recipe.
    """
    tasks: list[Task] = []
    recipes: list[Recipe] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"--include {path}: no such file or folder.")
        if _is_definition(path):  # Python files beside lm-eval's YAML files are its functions, not tasks.
            continue
        files = sorted(path.glob("[!_]*.py")) if path.is_dir() else [path]
        found = list(recipes_in(path)) if path.is_dir() else []
        if not files and not found:
            raise UserError(
                f"--include {path}: the folder has neither a task file (*.py), nor a recipe, nor a task of "
                "lm-eval (*.yaml)."
            )
        for file in files:
            tasks.extend(_tasks_of(_import_file(file), str(file)))
        recipes.extend(found)
    return tasks, recipes


def _tasks_of(module: ModuleType, name: str) -> list[Task]:
    tasks = getattr(module, "TASKS", None)
    if not isinstance(tasks, list) or not all(isinstance(task, Task) for task in tasks):
        raise UserError(f"The task plug-in {name} must define TASKS, a list of evalsuite.Task.")
    return tasks


class _Uncached(SourceFileLoader):
    """Always compiles the file, since cached bytecode misses edits of the same second and size."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _import_file(file: Path) -> ModuleType:
    name = f"evalsuite_included_{file.stem}_{sha256_of(str(file.resolve()))[:8]}"
    spec = importlib.util.spec_from_file_location(name, file, loader=_Uncached(name, str(file)))
    if file.suffix != ".py" or spec is None or spec.loader is None:
        raise UserError(f"--include {file}: not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses, pickle and typing look up a class's module there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"--include {file} cannot be imported: {error_line(error)}.") from error
    return module
