"""Records of tasks as the cards' recipes ask them, for fabricated runs."""

from dataclasses import asdict
from functools import cache
from typing import Any

from evalsuite.registry.registry import Registry
from evalsuite.results.runlog import Counts, MetricRecord, SubtaskRecord
from evalsuite.stats.intervals import mean_estimate
from tests.fabricate import Made, verdicts

known = cache(Registry.load)


def record(address: str, **changed: Any) -> dict[str, Any]:
    """Fields of a task's record as a real run of the address would write them."""
    [selected] = known().select([address])
    spec, task = selected.spec, selected.task
    split = spec.split or task.split
    read = {split, *filter(None, [spec.shots.split if spec.shots.count else None])}
    members = spec.members or (("a", "b") if task.subtask else ())
    return {
        "name": selected.name,
        "address": selected.address,
        "task": spec.task,
        "recipe": spec.recipe,
        "format": spec.format,
        "variant": spec.variant,
        "shots": spec.shots.count,
        "split": split,
        "prompt_sha256": spec.sha256,
        "comparability": task.comparability,
        "source": spec.source.model_dump(),
        "chance": task.chance,
        "data": {one: _split(task, one) for one in read},
        "headline": spec.metrics[0],
        "aggregation": spec.aggregation,
        "subtasks": {f"{spec.task}_{name}": SubtaskRecord(scored=1, metrics={}) for name in members},
    } | changed


def _split(task: Any, name: str) -> dict[str, Any]:
    pin = task.data.splits.get(name)
    rows, fingerprint = (pin.rows, pin.fingerprint) if pin else (1, None)
    return {"rows": rows, "fingerprint": fingerprint or "f" * 64, "source": "mirror"}


def scored(address: str, right: int, documents: int, metric: str = "acc", **changed: Any) -> Made:
    """A task with so many right answers."""
    return Made(verdicts(right, documents - right), metric=metric, record=record(address, **changed))


def complete(address: str, share: float, documents: int, **changed: Any) -> Made:
    """The task on that many documents, with every metric and aggregate of its spec at about `share`."""
    [selected] = known().select([address])
    values = verdicts(round(share * documents), documents - round(share * documents))
    score = MetricRecord(**asdict(mean_estimate(values)))
    names = (*selected.spec.metrics, *selected.spec.aggregates)
    fields = {
        "name": address,
        "metrics": dict.fromkeys(names, score),
        "counts": Counts(documents=documents, scored=documents),
    }
    # One stored sample stands for all: a card is compared from the run log.
    return Made(values[:1], metric=selected.spec.metrics[0], record=record(address, **fields | changed))
