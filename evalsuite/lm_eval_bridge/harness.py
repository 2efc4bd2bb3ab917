"""lm-eval as a source of tasks for the registry: any of its names, where recipe `lm_eval` has no spec of
ours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from evalsuite.data.refs import DatasetRef
from evalsuite.data.subset import Subset
from evalsuite.errors import UserError
from evalsuite.lm_eval_bridge.definition import Definition, GroupRule, cannot, find
from evalsuite.lm_eval_bridge.index import Entry, is_definition, names
from evalsuite.lm_eval_bridge.protocol import RECIPE, group_spec, task_spec
from evalsuite.registry.plugins import HarnessKind
from evalsuite.registry.selected import Selected
from evalsuite.task import Task
from evalsuite.types import Question, Row

if TYPE_CHECKING:
    from evalsuite.registry.selected import PreparedTask


@dataclass(frozen=True)
class HarnessTask:
    """A task, or a group with a score of its own (`evalsuite.registry.selected.ForeignTask`)."""

    name: str
    members: tuple[Definition, ...]
    is_group: bool

    @property
    def unsafe_code(self) -> bool:
        """Whether judging it runs model-written code."""
        return any(member.unsafe_code for member in self.members)

    def prepare(self, selected: Selected, data_dir: Path | None, subset: Subset) -> "PreparedTask":
        """Load the data, build lm-eval's task objects and render the prompts; raises UserError."""
        from evalsuite.lm_eval_bridge.documents import prepare_harness_task

        return prepare_harness_task(self, selected, data_dir, subset)


class Harness:
    """Finds lm-eval's definitions; nothing is read before a name is asked for."""

    def __init__(self, include: Sequence[Path] = ()) -> None:
        self._include = tuple(include)

    @cached_property
    def names(self) -> dict[str, Entry]:
        """What can be asked for."""
        return names(self._include)

    def select(self, name: str, form: str | None, shots: int | None) -> Iterator[Selected]:
        """The task of a known name; the tasks of a tag, or of a group that has no score of its own.

        Raises:
            UserError: the definition cannot be read, or not be asked in this form or with so many shots.
        """
        for part, members, rule in find(name, self.names):
            try:
                selected = _selected(part, members, rule, form, shots)
            except UserError:
                raise
            except Exception as error:  # Boundary: the values of a YAML file may be of any kind.
                raise cannot("be understood", part, error) from error
            yield selected


def _selected(
    name: str, own: tuple[Definition, ...], rule: GroupRule | None, form: str | None, shots: int | None
) -> Selected:
    members = own
    if shots is not None:
        members = tuple(one if one.fixed_shots else one.with_shots(shots) for one in own)
        if shots and all(one.fixed_shots for one in own):
            raise UserError(f"{RECIPE}/{name} is asked with 0 shots only, as lm-eval defines it.")
    count = max(one.shots for one in members)
    spec = (
        group_spec(name, {one.task_name: one.config for one in members}, count, rule)
        if rule
        else task_spec(name, members[0].config, count)
    )
    if form not in (None, spec.format):
        raise UserError(
            f"{RECIPE}/{name} is asked in the format '{spec.format}' only, as lm-eval defines it."
        )
    changed = count != max(one.shots for one in own)
    task = HarnessTask(name, members, rule is not None)
    return Selected(f"{RECIPE}/{name}" + (f"@{count}" if changed else ""), _task(task), spec, foreign=task)


def _task(task: HarnessTask) -> Task:
    first = task.members[0].raw
    return Task(
        name=task.name,
        title="lm-eval's own definition",
        data=DatasetRef(
            str(first.get("dataset_path")), (), config=str(first.get("dataset_name") or "default")
        ),
        split=str(first.get("test_split") or first.get("validation_split") or "its own"),
        question=_no_question,
        chance=None,
        comparability=1,
    )


def _no_question(row: Row) -> Question:
    raise ValueError("lm-eval's definition makes the prompts")


KIND = HarnessKind(Harness, is_definition)
