"""Looks up the published spread of a task between trainings.

Public names: `published_noise`, `published_table`.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from evalsuite.decisions.seeds.document import PublishedNoise, SeedNoise
from evalsuite.files.strict import read_strict
from evalsuite.registry.addresses import parse_address
from evalsuite.results.runlog import TaskRecord


@cache
def published_table() -> PublishedNoise:
    """The package's table of published spreads."""
    return read_strict(PublishedNoise, files("evalsuite.decisions.seeds") / "published.yaml")


def published_noise(tasks: Mapping[str, tuple[TaskRecord, str]]) -> dict[str, SeedNoise]:
    """The published spread of each task that has one.

    Args:
        tasks: record and metric by the task's name.
    """
    table, found = published_table(), {}
    for name, (record, metric) in tasks.items():
        address = parse_address(record.address)
        row = table.tasks.get(f"{address.recipe}/{address.task}")
        # A variant (core's 500 documents) has another noise.
        if row is not None and row.metric == metric and not record.variant:
            found[name] = table.noise(row)
    return found
