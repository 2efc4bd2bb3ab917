"""lm-eval's own definitions as their YAML files state them, read without their data."""

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
    """One task; its data is loaded and its objects are made by `documents`."""

    task_name: str
    raw: Mapping[str, Any]
    """The YAML with its includes, functions by their path; and what the group changes."""
    entry: Any
    """`lm_eval.tasks._index.Entry`."""
    overrides: Mapping[str, Any]
    """What the group that it was found in changes, and the number of shots."""

    @property
    def unsafe_code(self) -> bool:
        """Whether judging it runs model-written code."""
        return bool(self.raw.get("unsafe_code"))

    @property
    def shots(self) -> int:
        """Shots that are shown; none where the definition does not say."""
        return int(self.raw.get("num_fewshot") or 0)

    @property
    def fixed_shots(self) -> bool:
        """A definition that states 0 shots is never shown any (lm-eval 0.4.13, `evaluator.py`)."""
        return self.raw.get("num_fewshot") == 0

    def with_shots(self, shots: int) -> "Definition":
        """The same with another number of shots."""
        changed = {"num_fewshot": shots}
        return replace(self, raw={**self.raw, **changed}, overrides={**self.overrides, **changed})

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The configuration as lm-eval writes it into results: functions as their source."""
        if "class" in self.raw or self.unsafe_code:
            return {**self.raw, "code": _code_beside(self.entry.yaml_path)}
        from lm_eval.config.task import TaskConfig

        with quiet():
            return TaskConfig(**_without_structure(self.load())).to_dict()

    def load(self) -> dict[str, Any]:
        """The configuration with its functions imported; raises UserError where one cannot be."""
        from lm_eval.tasks._factory import TaskFactory

        try:
            with quiet():
                return TaskFactory()._load_full_config(self.entry, dict(self.overrides))
        except Exception as error:  # Boundary: a definition's own code is imported and may raise anything.
            raise cannot("be loaded", self.task_name, error) from error

    def build(self) -> Any:
        """lm-eval's task object, with its data; raises UserError."""
        from lm_eval.tasks._factory import TaskFactory

        try:
            return TaskFactory()._build_task(self.entry, dict(self.overrides))
        except UserError:
            raise
        except Exception as error:  # Boundary, as above.
            raise cannot("be made into a task", self.task_name, error) from error


def cannot(what: str, name: str, error: Exception) -> UserError:
    """The sentence for code of lm-eval's that failed."""
    reason = next(iter(str(error).splitlines()), "").rstrip(".")
    return UserError(f"lm-eval's definition '{name}' cannot {what}: {type(error).__name__}: {reason}.")


@dataclass(frozen=True)
class GroupRule:
    """How a group's score is made of its tasks' scores."""

    metrics: tuple[tuple[str, tuple[str, ...] | None, bool], ...]
    """(metric, filters or None for all, weighted by the numbers of documents)."""


FoundDefinition = tuple[str, tuple[Definition, ...], GroupRule | None]
"""Name, its tasks, and the rule of a group's score."""


def find(name: str, known: Mapping[str, Entry]) -> Iterator[FoundDefinition]:
    """What a name stands for: a task, a group with a score, or the parts of a group or tag without one.

    Raises:
        UserError: the YAML cannot be read, or the group defines tasks inside itself.
    """
    from lm_eval.tasks._index import Entry as TheirEntry
    from lm_eval.tasks._index import Kind

    kinds = {"task": Kind.TASK, "group": Kind.GROUP, "tag": Kind.TAG}
    entries = {
        one: TheirEntry(
            one, kinds[entry.kind], Path(entry.path) if entry.path else None, tags=set(entry.members)
        )
        for one, entry in known.items()
    }
    try:
        built = _reader()().build(entries[name], registry=entries)
    except UserError:
        raise
    except Exception as error:  # Boundary: YAML files, some of them the user's.
        raise cannot("be read", name, error) from error
    yield from _parts(name, built)


def _parts(name: str, built: Any) -> Iterator[FoundDefinition]:
    if isinstance(built, Definition):
        yield name, (built,), None
    elif isinstance(built, list):
        for one in built:
            yield from _parts(one.task_name, one)
    elif built.has_aggregation:
        rule = GroupRule(
            tuple(
                (one.metric, None if one.filter_list is None else tuple(one.filter_list), one.weight_by_size)
                for one in built.aggregate_metric_list
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
    """lm-eval's factory, reading definitions in place of building tasks with their data."""
    from lm_eval.tasks._factory import TaskFactory
    from lm_eval.tasks._yaml_loader import load_yaml

    class Reader(TaskFactory):
        def _build_task(self, entry: Any, overrides: Mapping[str, Any] | None) -> Any:
            raw = {**load_yaml(entry.yaml_path, resolve_func=False), **(overrides or {})}
            return Definition(raw["task"], raw, entry, overrides or {})

        def _build_group_members(
            self, members: Sequence[Any], group: str, overrides: Any, registry: Any
        ) -> list[Any]:
            for one in members:
                if isinstance(one, dict) and "group" not in one and one.get("task") not in registry:
                    raise UserError(
                        f"lm-eval's group '{group}' defines tasks inside itself ({one.get('task')}), which only lm-eval "
                        "can run: lm-eval run --model evalsuite."
                    )
            return super()._build_group_members(list(members), group, overrides, registry)

    return Reader


def _without_structure(config: Mapping[str, Any]) -> dict[str, Any]:
    """Without the keys that only place a task among others (lm-eval 0.4.13, `TaskFactory._build_task`)."""
    return {key: value for key, value in config.items() if key not in ("tag", "group", "task_list")}


def _code_beside(path: Path) -> dict[str, str]:
    return {file.name: file.read_text(encoding="utf-8") for file in sorted(path.parent.glob("*.py"))}
