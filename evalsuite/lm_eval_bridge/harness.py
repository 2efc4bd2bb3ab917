"""lm-eval as a harness of the registry: provides all its tasks that recipe `lm_eval` has no spec of."""

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
    from evalsuite.registry.selected import ForeignData, PreparedTask


@dataclass(frozen=True)
class HarnessTask:
    """A task, or a group with its own score (`evalsuite.registry.selected.ForeignTask`)."""

    name: str
    members: tuple[Definition, ...]
    is_group: bool

    @property
    def unsafe_code(self) -> bool:
        """Whether scoring runs model-written code."""
        return any(member.unsafe_code for member in self.members)

    def prepare(self, selected: Selected, data_dir: Path | None, subset: Subset) -> "PreparedTask":
        """Load the data, build lm-eval's task objects and render the prompts; raises UserError."""
        from evalsuite.lm_eval_bridge.documents import prepare_harness_task

        return prepare_harness_task(self, selected, data_dir, subset)

    def read_data(self, selected: Selected, data_dir: Path | None) -> "ForeignData":
        """Load the data and build lm-eval's task objects, but render nothing; raises UserError."""
        from evalsuite.lm_eval_bridge.documents import read_harness_data

        return read_harness_data(self, selected, data_dir)


class LmEvalHarness:
    """Finds lm-eval's definitions, and reads them on demand."""

    def __init__(self, include: Sequence[Path] = ()) -> None:
        self._include = tuple(include)

    @cached_property
    def names(self) -> dict[str, Entry]:
        """Entries of all tasks, groups and tags, by name."""
        return names(self._include)

    def select(self, name: str, form: str | None, shots: int | None) -> Iterator[Selected]:
        """The task of a known name, or the tasks of a tag or of a group without its own score.

        Raises:
            UserError: the definition cannot be read, or does not support this form or number of shots.
        """
        for part, members, rule in find(name, self.names):
            try:
                selected = _selected(part, members, rule, form, shots)
            except UserError:
                raise
            except Exception as error:  # The values in a YAML file can have any type.
                raise cannot("be understood", part, error) from error
            yield selected


def _selected(
    name: str, own: tuple[Definition, ...], rule: GroupRule | None, form: str | None, shots: int | None
) -> Selected:
    members = own
    if shots is not None:
        members = tuple(member if member.fixed_shots else member.with_shots(shots) for member in own)
        if shots and all(member.fixed_shots for member in own):
            raise UserError(f"{RECIPE}/{name} supports only 0 shots, as lm-eval defines it.")
    count = max(member.shots for member in members)
    spec = (
        group_spec(name, {member.task_name: member.config for member in members}, count, rule)
        if rule
        else task_spec(name, members[0].config, count)
    )
    if form not in (None, spec.format):
        raise UserError(f"{RECIPE}/{name} supports only the format '{spec.format}', as lm-eval defines it.")
    changed = count != max(member.shots for member in own)
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


KIND = HarnessKind(LmEvalHarness, is_definition)
