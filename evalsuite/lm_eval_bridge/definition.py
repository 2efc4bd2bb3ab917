"""Reads lm-eval's task definitions from their YAML files, without loading their data."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evalsuite.errors import UserError
from evalsuite.lm_eval_bridge.index import Entry
from evalsuite.lm_eval_bridge.quiet import quiet


@dataclass(frozen=True)
class Definition:
    """The definition of a task; `documents` loads its data and makes its objects."""

    task_name: str
    raw: Mapping[str, Any]
    """The YAML with its includes and the group's changes; functions are given by their path."""
    entry: Any
    """The task's `lm_eval.tasks._index.Entry`."""
    overrides: Mapping[str, Any]
    """The changes of the group that contains it, and the number of shots."""

    @property
    def unsafe_code(self) -> bool:
        """Whether scoring runs model-written code."""
        return bool(self.raw.get("unsafe_code"))

    @property
    def shots(self) -> int:
        """Number of shots; 0 if the definition does not state it."""
        return int(self.raw.get("num_fewshot") or 0)

    @property
    def fixed_shots(self) -> bool:
        """Whether the definition states 0 shots, which cannot be changed (lm-eval 0.4.13, `evaluator.py`)."""
        return self.raw.get("num_fewshot") == 0

    def with_shots(self, shots: int) -> "Definition":
        """The definition with another number of shots."""
        changed = {"num_fewshot": shots}
        return replace(self, raw={**self.raw, **changed}, overrides={**self.overrides, **changed})

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The configuration as lm-eval writes it to results, with the source of its functions."""
        if "class" in self.raw or self.unsafe_code:
            return {**self.raw, "code": _code_beside(self.entry.yaml_path)}
        from lm_eval.config.task import TaskConfig

        with quiet():
            config: dict[str, Any] = TaskConfig(**_without_structure(self.load())).to_dict()
            return config

    def load(self) -> dict[str, Any]:
        """The configuration with imported functions; raises UserError if an import fails."""
        from lm_eval.tasks._factory import TaskFactory

        try:
            with quiet():
                config: dict[str, Any] = TaskFactory()._load_full_config(self.entry, dict(self.overrides))
                return config
        except Exception as error:  # The definition's code is imported and can raise any error.
            raise cannot("be loaded", self.task_name, error) from error

    def build(self) -> Any:
        """lm-eval's task object with its data; raises UserError."""
        from lm_eval.tasks._factory import TaskFactory

        try:
            return TaskFactory()._build_task(self.entry, dict(self.overrides))
        except UserError:
            raise
        except Exception as error:  # As above.
            raise cannot("be made into a task", self.task_name, error) from error


def cannot(what: str, name: str, error: Exception) -> UserError:
    """The error for code of lm-eval that failed."""
    reason = next(iter(str(error).splitlines()), "").rstrip(".")
    return UserError(f"lm-eval's definition '{name}' cannot {what}: {type(error).__name__}: {reason}.")


@dataclass(frozen=True)
class GroupRule:
    """How lm-eval computes a group's score from its tasks' scores."""

    metrics: tuple[tuple[str, tuple[str, ...] | None, bool], ...]
    """Tuples of metric, filters (None for all), and whether scores are weighted by their documents."""


FoundDefinition = tuple[str, tuple[Definition, ...], GroupRule | None]
"""A name, its tasks, and the rule of a group's score."""


def find(name: str, known: Mapping[str, Entry]) -> Iterator[FoundDefinition]:
    """The definitions of a name: a task, a group with a score, or the parts of a group or tag without one.

    Raises:
        UserError: the YAML cannot be read, or the group contains inline task definitions.
    """
    from lm_eval.tasks._index import Entry as TheirEntry
    from lm_eval.tasks._index import Kind

    kinds = {"task": Kind.TASK, "group": Kind.GROUP, "tag": Kind.TAG}
    entries = {
        key: TheirEntry(
            key, kinds[entry.kind], Path(entry.path) if entry.path else None, tags=set(entry.members)
        )
        for key, entry in known.items()
    }
    try:
        built = _reader()().build(entries[name], registry=entries)
    except UserError:
        raise
    except Exception as error:  # YAML files, also the user's, can cause any error.
        raise cannot("be read", name, error) from error
    yield from _parts(name, built)


def _parts(name: str, built: Any) -> Iterator[FoundDefinition]:
    if isinstance(built, Definition):
        yield name, (built,), None
    elif isinstance(built, list):
        for definition in built:
            yield from _parts(definition.task_name, definition)
    elif built.has_aggregation:
        rule = GroupRule(
            tuple(
                (
                    rule.metric,
                    None if rule.filter_list is None else tuple(rule.filter_list),
                    rule.weight_by_size,
                )
                for rule in built.aggregate_metric_list
            )
        )
        yield name, tuple(_leaves(built)), rule
    else:
        for child in built:
            yield from _parts(child.task_name if isinstance(child, Definition) else child.name, child)


def _leaves(group: Any) -> Iterator[Definition]:
    for child in group:
        if isinstance(child, Definition):
            yield child
        else:
            yield from _leaves(child)


def _reader() -> type:
    """lm-eval's factory, changed to read definitions in place of building tasks with their data."""
    from lm_eval.tasks._factory import TaskFactory
    from lm_eval.tasks._yaml_loader import load_yaml

    class Reader(TaskFactory):  # type: ignore[misc]  # lm-eval has no types
        def _build_task(self, entry: Any, overrides: Mapping[str, Any] | None) -> Any:
            raw = {**load_yaml(entry.yaml_path, resolve_func=False), **(overrides or {})}
            return Definition(raw["task"], raw, entry, overrides or {})

        def _build_group_members(
            self, members: Sequence[Any], group: str, overrides: Any, registry: Any
        ) -> list[Any]:
            for member in members:
                if isinstance(member, dict) and "group" not in member and member.get("task") not in registry:
                    raise UserError(
                        f"lm-eval's group '{group}' contains an inline task definition "
                        f"({member.get('task')}), which only lm-eval can run: lm-eval run --model evalsuite."
                    )
            built: list[Any] = super()._build_group_members(list(members), group, overrides, registry)
            return built

    return Reader


def _without_structure(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without keys on groups and tags (lm-eval 0.4.13, `TaskFactory._build_task`)."""
    return {key: value for key, value in config.items() if key not in ("tag", "group", "task_list")}


def _code_beside(path: Path) -> dict[str, str]:
    return {file.name: file.read_text(encoding="utf-8") for file in sorted(path.parent.glob("*.py"))}
