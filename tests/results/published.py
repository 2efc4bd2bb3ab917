"""Records of tasks as the Nemotron-H cards asked them, for fabricated runs."""

from functools import cache
from typing import Any

from fabricate import Made, verdicts

from evalsuite.registry import Registry

known = cache(Registry.load)


def record(address: str, **changed: Any) -> dict[str, Any]:
    """Fields of a task's record as a real run of the address would write them."""
    [selected] = known().select([address])
    spec, task = selected.spec, selected.task
    split = spec.split or task.split
    read = {split, *filter(None, [spec.shots.split if spec.shots.count else None])}
    return {
        "name": selected.name,
        "address": selected.address,
        "task": spec.task,
        "recipe": spec.recipe,
        "format": spec.format,
        "shots": spec.shots.count,
        "split": split,
        "prompt_sha256": spec.sha256,
        "comparability": task.comparability,
        "source": spec.source.model_dump(),
        "chance": task.chance,
        "data": {
            one: {
                "rows": task.data.splits[one].rows,
                "fingerprint": task.data.splits[one].fingerprint or "f" * 64,
                "source": "mirror",
            }
            for one in read
        },
        "headline": spec.metrics[0],
    } | changed


def scored(address: str, right: int, documents: int, metric: str = "acc", **changed: Any) -> Made:
    """A task with so many right answers."""
    return Made(verdicts(right, documents - right), metric=metric, record=record(address, **changed))
