"""Run folders with given verdicts, through the package's own writers; no model, no data."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evalsuite.results.folder import RunFolder
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import Counts, MetricRecord, ModelRecord, RunLog, TaskRecord
from evalsuite.stats.intervals import mean_estimate
from evalsuite.types import Document, MultipleChoice, Prompt, Sample


@dataclass(frozen=True)
class Made:
    """One task with a value for each document."""

    values: Sequence[float]
    metric: str = "acc"
    rows: Sequence[int] | None = None
    """Content of each document; equal numbers are equal documents. Default: its position."""
    subtasks: Sequence[str] | None = None
    clusters: Sequence[str] | None = None
    failed: Collection[int] = ()
    """Positions left without a verdict."""
    shots_text: str = ""
    """Stands before every question."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the task's record."""


def fabricate(folder: Path, tasks: Mapping[str, Made | Sequence[float]], **log: Any) -> Path:
    """Write a finished run; keywords replace fields of the run log (`spec`, `model`, ...)."""
    made = {name: one if isinstance(one, Made) else Made(one) for name, one in tasks.items()}
    records = tuple(_record(name, one) for name, one in made.items())
    fields: dict[str, Any] = {
        "evalsuite_version": "0.1.0",
        "status": "complete" if all(record.metrics for record in records) else "incomplete",
        "spec": RunSpec(tasks=tuple(record.address for record in records), model=folder.name),
        "inputs_sha256": "0" * 64,
        "model": ModelRecord(
            id=folder.name, revision=None, weights_sha256=folder.name, tokenizer_sha256="1", numerics="test"
        ),
        "environment": {"math-verify": "0.7.0"},
        "started": "2026-11-22T12:00:00+00:00",
        "tasks": records,
    }
    folder.mkdir(parents=True, exist_ok=True)
    RunFolder(folder).write_results(
        RunLog(**fields | log), {name: _samples(one) for name, one in made.items()}
    )
    return folder


def verdicts(right: int, wrong: int) -> list[float]:
    """Right ones first."""
    return [1.0] * right + [0.0] * wrong


def flipped(values: Sequence[float], lost: int = 0, gained: int = 0) -> list[float]:
    """The first `lost` right ones made wrong, the first `gained` wrong ones made right."""
    changed = list(values)
    right = [place for place, value in enumerate(values) if value]
    wrong = [place for place, value in enumerate(values) if not value]
    for place in right[:lost]:
        changed[place] = 0.0
    for place in wrong[:gained]:
        changed[place] = 1.0
    return changed


def _samples(made: Made) -> list[Sample]:
    count = len(made.values)
    rows, subtasks = made.rows or range(count), made.subtasks or [""] * count
    clusters = made.clusters or [""] * count
    return [
        Sample(
            document=Document(
                place, subtask, place, {"row": row}, MultipleChoice(str(row), ("a", "b"), 0), cluster
            ),
            prompt=Prompt((f"{made.shots_text}{row}",), (" a", " b")),
            shots=0,
            status="failed" if place in made.failed else "scored",
            reason="the engine died" if place in made.failed else "",
            metrics={} if place in made.failed else {made.metric: float(value)},
        )
        for place, (row, subtask, cluster, value) in enumerate(
            zip(rows, subtasks, clusters, made.values, strict=True)
        )
    ]


def _record(name: str, made: Made) -> TaskRecord:
    scored = [value for place, value in enumerate(made.values) if place not in made.failed]
    fields: dict[str, Any] = {
        "name": name,
        "address": f"test/{name}:cloze@0",
        "task": name,
        "recipe": "test",
        "format": "cloze",
        "shots": 0,
        "split": "test",
        "prompt_version": 1,
        "prompt_sha256": "a" * 64,
        "comparability": 1,
        "source": {"status": "ours"},
        "chance": None,
        "data": {"test": {"rows": len(made.values), "fingerprint": "f" * 64, "source": "test"}},
        "counts": Counts(documents=len(made.values), scored=len(scored), failed=len(made.failed)),
        "headline": made.metric,
        "metrics": {} if made.failed else {made.metric: MetricRecord(**asdict(mean_estimate(scored)))},
        "requests": 0,
        "tokens": 0,
        "seconds": 0.0,
        "problem": f"{len(made.failed)} documents failed" if made.failed else "",
    }
    return TaskRecord(**fields | dict(made.record))
