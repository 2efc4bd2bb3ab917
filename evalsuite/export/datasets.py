"""The dataset of a task's record, as other tools name it."""

from evalsuite.data.refs import DatasetRef
from evalsuite.errors import UserError
from evalsuite.registry.registry import Registry
from evalsuite.results.runlog import TaskRecord


def dataset_of(task: TaskRecord, registry: Registry) -> DatasetRef | None:
    """The dataset on the hub; None for a task that is not known here, or that reads files of its own."""
    try:
        [selected] = registry.select([task.address])
    except (UserError, ValueError):
        return None
    data = selected.task.data
    return None if data.files else data


def revision_of(task: TaskRecord) -> str | None:
    """The hub's commit of the evaluated split, where the rows came from the hub."""
    source = task.data[task.split].source if task.split in task.data else ""
    return source.rpartition("@")[2] if source.startswith("hub ") and "@" in source else None
