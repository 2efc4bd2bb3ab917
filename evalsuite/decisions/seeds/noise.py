"""The noise between seeds of each task: measured where runs are given, else published.

Public names: `seed_noise`.
"""

from collections.abc import Mapping

from evalsuite.decisions.seeds.document import SeedNoise
from evalsuite.decisions.seeds.measured import Seeds
from evalsuite.decisions.seeds.published import published_noise
from evalsuite.results.runlog import TaskRecord


def seed_noise(tasks: Mapping[str, tuple[TaskRecord, str]], seeds: Seeds | None) -> dict[str, SeedNoise]:
    """The noise of each task for which it is known.

    Args:
        tasks: record and metric by the task's name.
        seeds: runs of several seeds; None if there are none.

    Raises:
        UserError: a run scored a task by another prompt spec, or on other documents.
    """
    if seeds is None:
        return published_noise(tasks)
    measured = {name: seeds.noise(name, record, metric) for name, (record, metric) in tasks.items()}
    return {name: noise for name, noise in measured.items() if noise is not None}
