"""What the report reads of a run: the log, the verdicts, and all columns of the samples.

Public names: `TaskSource`, `RunSource`, `open_source`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.errors import StorageError
from evalsuite.registry.addresses import file_stem
from evalsuite.results.read import RunSide, TaskSamples, open_run
from evalsuite.results.runlog import RunLog, TaskRecord

_ANSWER_COLUMNS = (
    "gold",
    "prediction",
    "shots",
    "contexts",
    "continuations",
    "log_likelihoods",
    "is_greedy",
    "texts",
    "finishes",
    "generated_tokens",
    "context_tokens",
    "continuation_tokens",
)


@dataclass(frozen=True)
class TaskSource:
    """One task of a run with its samples."""

    record: TaskRecord
    samples: TaskSamples
    answers: Mapping[str, Sequence[Any]]
    """The columns that hold prompts and answers, by name."""

    def values(self, metric: str) -> dict[int, float]:
        """By row, of the documents with a verdict."""
        return {row: one[metric] for row, one in enumerate(self.samples.metrics) if metric in one}


@dataclass(frozen=True)
class RunSource:
    """A finished run, read whole."""

    side: RunSide
    label: str
    tasks: tuple[TaskSource, ...]

    @property
    def log(self) -> RunLog:
        """The run log."""
        return self.side.log


def open_source(paths: Sequence[Path]) -> list[RunSource]:
    """All runs; raises StorageError with what is wrong with one of them."""
    sides = [open_run(path) for path in paths]
    labels = _labels(sides)
    return [
        RunSource(
            side,
            label,
            tuple(TaskSource(one, side.samples(one), _answers(side, one)) for one in side.log.tasks),
        )
        for side, label in zip(sides, labels, strict=True)
    ]


def _labels(sides: Sequence[RunSide]) -> list[str]:
    """The models' names, else the folders', else the paths: what first tells the runs apart."""
    ways = (
        [side.log.spec.model for side in sides],
        [side.folder.resolve().name for side in sides],
        [str(side.path) for side in sides],
    )
    return next((way for way in ways if len(set(way)) == len(way)), ways[-1])


def _answers(side: RunSide, record: TaskRecord) -> dict[str, list[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = side.folder / "samples" / f"{file_stem(record.name)}.parquet"
    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in _ANSWER_COLUMNS if name not in file.schema_arrow.names]
            if missing:
                raise StorageError(
                    f"{path} is not a samples table of this version: it has no column {', '.join(missing)}."
                )
            table = file.read(list(_ANSWER_COLUMNS))
            return {name: table.column(name).to_pylist() for name in _ANSWER_COLUMNS}
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{path} is damaged or cut short; copy or run it again.") from error
