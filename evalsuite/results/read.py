"""Reads finished runs and their samples, for compare, gate, card, trend, report and rescore.

Public names: `RunSide`, `TaskSamples`, `open_run`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from evalsuite.errors import StorageError
from evalsuite.registry.addresses import file_stem
from evalsuite.results.runlog import RunLog, TaskRecord, read_run

_LATER_COLUMNS = ("cluster", "weights")
"""Columns that tables of version 0.1.0 lack."""
_COLUMNS = ("doc", "subtask", "key", "status", "reason", "metrics", "context_sha256")


@dataclass(frozen=True)
class TaskSamples:
    """The verdicts of one task as columns, with one entry per document, in document order."""

    docs: Sequence[int]
    """Index in the split."""
    subtasks: Sequence[str]
    keys: Sequence[str]
    """Content key of the document; rows with equal content share it."""
    clusters: Sequence[str | None]
    statuses: Sequence[str]
    reasons: Sequence[str]
    contexts: Sequence[str]
    """SHA-256 of the prompt's (first) context."""
    metrics: Sequence[Mapping[str, float]]
    """Empty if the document has no verdict."""
    weights: Sequence[Mapping[str, float]]
    """The document's weight by metric, for metrics that are ratios of sums."""

    def __len__(self) -> int:
        return len(self.docs)


@dataclass(frozen=True)
class RunSide:
    """A finished run: its path, its log, and access to its samples."""

    path: Path
    log: RunLog

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.path if self.path.is_dir() else self.path.parent

    @cached_property
    def tasks(self) -> dict[str, TaskRecord]:
        """Task records by name, in the run's order."""
        return {task.name: task for task in self.log.tasks}

    def samples_path(self, task: TaskRecord) -> Path:
        """Path of a task's samples."""
        return self.folder / "samples" / f"{file_stem(task.name)}.parquet"

    def samples(self, task: TaskRecord) -> TaskSamples:
        """The samples of a task; raises StorageError if they are missing, damaged or of another run."""
        path = self.samples_path(task)
        samples = _read(path)
        if len(samples) != task.counts.documents:
            raise StorageError(
                f"{path} holds {len(samples)} documents, but the run log {task.counts.documents}: they "
                "belong to different runs; run it again."
            )
        return samples


def open_run(path: Path) -> RunSide:
    """Open a finished run by its folder or `run.json`; raises StorageError if it is unfinished or damaged."""
    side = RunSide(path, read_run(path))
    if shard := side.log.shard:
        raise StorageError(
            f"{path} is shard {shard.name} of a run; finish the run with `evalsuite merge` of all "
            f"{shard.count} shards."
        )
    if side.log.status == "running":
        raise StorageError(f"{path} has not finished; finish it with the command that started it.")
    if not side.log.tasks:
        raise StorageError(f"{path} is an empty run without tasks.")
    return side


def _read(path: Path) -> TaskSamples:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            known = file.schema_arrow.names
            missing = [column for column in _COLUMNS if column not in known]
            if missing:
                raise StorageError(
                    f"{path} is not a samples table of this version: it has no column {', '.join(missing)}."
                )
            table = file.read([*_COLUMNS, *(name for name in _LATER_COLUMNS if name in known)])
            columns: dict[str, Any] = {name: table[name].to_pylist() for name in table.column_names}
    except FileNotFoundError:
        raise StorageError(
            f"{path} is missing; this command needs the run's samples, in the folder `samples` beside "
            "run.json."
        ) from None
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{path} is damaged or truncated; copy it again or repeat the run.") from error
    count = len(columns["doc"])
    return TaskSamples(
        docs=columns["doc"],
        subtasks=columns["subtask"],
        keys=columns["key"],
        clusters=columns.get("cluster") or [None] * count,
        statuses=columns["status"],
        reasons=columns["reason"],
        contexts=columns["context_sha256"],
        metrics=[{entry["metric"]: entry["value"] for entry in row or ()} for row in columns["metrics"]],
        weights=[
            {entry["metric"]: entry["weight"] for entry in row or ()}
            for row in columns.get("weights") or [None] * count
        ],
    )
