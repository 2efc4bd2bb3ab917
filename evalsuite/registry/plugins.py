"""Finds task plug-ins: built in, installed (entry-point group `evalsuite.tasks`), or included by path."""

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
from evalsuite.prompting.recipes import Recipe, recipes_in
from evalsuite.task import Task
from evalsuite.types import sha256_of

if TYPE_CHECKING:
    from evalsuite.registry.selected import Selected

GROUP = "evalsuite.tasks"


class Harness(Protocol):
    """Another harness as a source of tasks."""

    @property
    def names(self) -> Mapping[str, object]:
        """What can be asked for."""
        ...

    def select(self, name: str, form: str | None, shots: int | None) -> Iterator["Selected"]:
        """The tasks of a known name; raises UserError."""
        ...


@dataclass(frozen=True)
class HarnessKind:
    """What an entry point of `evalsuite.harnesses` names."""

    make: Callable[[Sequence[Path]], Harness]
    """Takes the included paths that hold its definitions."""
    owns: Callable[[Path], bool]
    """Whether a YAML file, or a folder with some, holds its definitions."""


HARNESSES = EntryPointGroup("evalsuite.harnesses", "harness", "harnesses", HarnessKind)


def harness(name: str, include: Sequence[Path] = ()) -> Harness:
    """The harness called `name`, with the definitions of included paths on top; they are read when one is
    asked for.

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
    """Whether a harness has its definitions there."""
    return any(kind.owns(one) for one in _with_yaml([path]) for kind in HARNESSES.load_all())


def builtin_tasks() -> Iterator[Task]:
    """Tasks of the modules in `evalsuite.tasks`; those whose names begin with `_` are no plug-ins."""
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
                f"The task plug-in '{entry.name}' ({entry.value}) cannot be imported: {error}."
            ) from error
        yield from _tasks_of(module, entry.value)


def included(paths: Sequence[Path]) -> tuple[list[Task], list[Recipe]]:
    """Tasks of Python files and recipes of folders: a file, or a folder with both. lm-eval's YAML files are
    `harness`'s.

    Raises:
        UserError: a path does not exist, cannot be imported, or defines no task and no recipe.
    """
    tasks: list[Task] = []
    recipes: list[Recipe] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"--include {path}: there is no such file or folder.")
        if _is_definition(path):  # Beside lm-eval's YAML files stand functions of theirs.
            continue
        files = sorted(path.glob("[!_]*.py")) if path.is_dir() else [path]
        found = list(recipes_in(path)) if path.is_dir() else []
        if not files and not found:
            raise UserError(
                f"--include {path}: the folder has no task file (*.py), no recipe and no task of lm-eval (*.yaml)."
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
    """Compiles the file as it is now: cached bytecode knows an edit by its second and the file's size
    alone."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _import_file(file: Path) -> ModuleType:
    name = f"evalsuite_included_{file.stem}_{sha256_of(str(file.resolve()))[:8]}"
    spec = importlib.util.spec_from_file_location(name, file, loader=_Uncached(name, str(file)))
    if file.suffix != ".py" or spec is None or spec.loader is None:
        raise UserError(f"--include {file}: not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses, pickle and typing look a class's module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"--include {file} cannot be imported: {type(error).__name__}: {error}.") from error
    return module
