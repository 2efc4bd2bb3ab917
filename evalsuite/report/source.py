"""Reads runs for the report: the log, the verdicts, and all columns of the samples.

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


_LATER_COLUMNS = ("token_log_probs", "token_bytes")
"""Columns that tables of version 0.1.0 lack; only those of held-out texts fill them."""


@dataclass(frozen=True)
class TaskSource:
    """One task of a run with its samples."""

    record: TaskRecord
    samples: TaskSamples
    answers: Mapping[str, Sequence[Any]]
    """Columns of prompts and answers, by name."""

    def values(self, metric: str) -> dict[int, float]:
        """The metric's values by row, for documents with a verdict."""
        return {row: values[metric] for row, values in enumerate(self.samples.metrics) if metric in values}


@dataclass(frozen=True)
class RunSource:
    """A finished run with all its samples."""

    side: RunSide
    label: str
    tasks: tuple[TaskSource, ...]

    @property
    def log(self) -> RunLog:
        """The run log."""
        return self.side.log


def open_source(paths: Sequence[Path]) -> list[RunSource]:
    """Read all runs; raises StorageError if one is unfinished or damaged."""
    sides = [open_run(path) for path in paths]
    labels = _labels(sides)
    return [
        RunSource(
            side,
            label,
            tuple(TaskSource(task, side.samples(task), _answers(side, task)) for task in side.log.tasks),
        )
        for side, label in zip(sides, labels, strict=True)
    ]


def _labels(sides: Sequence[RunSide]) -> list[str]:
    """Names that distinguish the runs: of the models, or else of the folders, or else the paths."""
    candidates = (
        [side.log.spec.model for side in sides],
        [side.folder.resolve().name for side in sides],
        [str(side.path) for side in sides],
    )
    return next((names for names in candidates if len(set(names)) == len(names)), candidates[-1])


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
            later = [name for name in _LATER_COLUMNS if name in file.schema_arrow.names]
            table = file.read([*_ANSWER_COLUMNS, *later])
            return {name: table.column(name).to_pylist() for name in table.column_names}
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{path} is damaged or truncated; copy it again or repeat the run.") from error
