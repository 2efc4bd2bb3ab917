"""Reads finished runs and their samples, for the verbs that judge runs.

Public names: `RunSide`, `TaskSamples`, `open_run`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evalsuite.errors import StorageError
from evalsuite.registry.addresses import file_stem
from evalsuite.results.runlog import RunLog, TaskRecord, read_run

_COLUMNS = ("doc", "subtask", "key", "status", "reason", "metrics", "context_sha256")


@dataclass(frozen=True)
class TaskSamples:
    """The verdicts of one task, in document order; every column has one entry for each document."""

    docs: Sequence[int]
    """Position in the split."""
    subtasks: Sequence[str]
    keys: Sequence[str]
    """Content key of the document; rows of equal content share it."""
    clusters: Sequence[str | None]
    statuses: Sequence[str]
    reasons: Sequence[str]
    contexts: Sequence[str]
    """SHA-256 of the prompt's (first) context."""
    metrics: Sequence[Mapping[str, float]]
    """Empty without a verdict."""

    def __len__(self) -> int:
        return len(self.docs)


@dataclass(frozen=True)
class RunSide:
    """A run that stands on one side of a comparison."""

    path: Path
    log: RunLog

    @property
    def folder(self) -> Path:
        """Where its files stand."""
        return self.path if self.path.is_dir() else self.path.parent

    @cached_property
    def tasks(self) -> dict[str, TaskRecord]:
        """By name, in the run's order."""
        return {task.name: task for task in self.log.tasks}

    def samples_path(self, task: TaskRecord) -> Path:
        """Where the samples of a task stand."""
        return self.folder / "samples" / f"{file_stem(task.name)}.parquet"

    def samples(self, task: TaskRecord) -> TaskSamples:
        """The samples of a task; raises StorageError where they are missing, damaged or another run's."""
        path = self.samples_path(task)
        samples = _read(path)
        if len(samples) != task.counts.documents:
            raise StorageError(
                f"{path} holds {len(samples)} documents, the run log {task.counts.documents}: they are not of the "
                "same run; run it again."
            )
        return samples


def open_run(path: Path) -> RunSide:
    """A finished run by its folder or `run.json`; raises StorageError with what is wrong with it."""
    side = RunSide(path, read_run(path))
    if shard := side.log.shard:
        raise StorageError(
            f"{path} is shard {shard.name} of a run; `evalsuite merge` of all {shard.count} finishes the run."
        )
    if side.log.status == "running":
        raise StorageError(f"{path} has not finished; the command that started it continues it.")
    if not side.log.tasks:
        raise StorageError(f"{path} is an empty run: it holds no task.")
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
            wanted = [*_COLUMNS, *(["cluster"] if "cluster" in known else [])]
            columns = {name: column.to_pylist() for name, column in _named(file.read(wanted))}
    except FileNotFoundError:
        raise StorageError(
            f"{path} is missing; a run is compared by its samples, which stand in `samples` beside run.json."
        ) from None
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{path} is damaged or cut short; copy or run it again.") from error
    count = len(columns["doc"])
    return TaskSamples(
        docs=columns["doc"],
        subtasks=columns["subtask"],
        keys=columns["key"],
        clusters=columns.get("cluster") or [None] * count,
        statuses=columns["status"],
        reasons=columns["reason"],
        contexts=columns["context_sha256"],
        metrics=[{one["metric"]: one["value"] for one in row or ()} for row in columns["metrics"]],
    )


def _named(table):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - pyarrow is imported late
    return zip(table.column_names, table.columns, strict=True)
