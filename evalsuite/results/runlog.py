"""The run log (`run.json`): the typed, versioned document of a run that all other commands read.

`make schema` writes its JSON schema to `run.schema.json` beside this file.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from evalsuite.errors import StorageError
from evalsuite.results.run_spec import RunLogPart, RunSpec
from evalsuite.results.smoke import SmokeRecord

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
UNKNOWN = "unknown"
"""Stands for a digest that imported results lack."""


class ModelRecord(RunLogPart):
    """The model that answered."""

    id: str
    """Hub id, or the path from the command line."""
    revision: str | None
    weights_sha256: str
    tokenizer_sha256: str
    numerics: str


class SplitRecord(RunLogPart):
    """A split that the run read."""

    rows: int
    fingerprint: str
    source: str


class MetricRecord(RunLogPart):
    """A score with its uncertainty."""

    value: float
    stderr: float | None
    low: float | None
    """95 % interval."""
    high: float | None
    n: int
    clusters: int | None = None
    """Number of clusters, if the standard error is clustered by the documents' shared sources."""
    problem_stderr: float | None = None
    """Part of the standard error that remains with any number of answers per document."""
    sampling_stderr: float | None = None
    """Part of the standard error due to the sampling seed, if documents have several answers."""

    @classmethod
    def of_finite(cls, *, value: float, n: int, **others: float | None) -> "MetricRecord | None":
        """The record without its non-finite numbers; None if the value itself is not finite."""
        if not math.isfinite(value):
            return None
        finite = {
            name: number if number is not None and math.isfinite(number) else None
            for name, number in others.items()
        }
        return cls.model_validate(
            {"stderr": None, "low": None, "high": None, **finite, "value": value, "n": n}
        )


class SubtaskRecord(RunLogPart):
    """A member task."""

    scored: int
    metrics: dict[str, float]


class Counts(RunLogPart):
    """Numbers of documents by what happened to them."""

    documents: int
    scored: int
    failed: int = 0
    """Without an answer or verdict because of an infrastructure failure."""
    too_long: int = 0
    """Longer than the context window."""
    shots_dropped: int = 0
    """Scored with fewer shots, to fit the context window."""
    fewer_shots: int = 0
    """Prompted with fewer shots than the spec has, since the document itself is among the rows of shots."""
    among_shots: int = 0
    """Prompted with the document itself, with its answer, among the shots."""
    joined: int = 0
    """Scored although a token spans the boundary between context and continuation."""
    realigned: int = 0
    """Of these: scored from the last token boundary that all choices share."""
    scored_bos: int = 0
    """Scored with a BOS token among the scored tokens."""
    cut: int = 0
    """Generated texts that ended at the token limit or the context window."""
    at_window: int = 0
    """Of these: ended at the context window, before their limit."""
    shortened: int = 0
    """Prompts whose beginning was cut, to leave space for the answer."""
    altered: int = 0
    """Held-out texts whose tokens decode to another text."""
    near_ties: int = 0
    """Scored although the two best choices are closer than the rounding of the numerics class."""


class TaskRecord(RunLogPart):
    """One task: its prompt spec, its data and its scores."""

    name: str
    """Shortest address; names the samples file."""
    address: str
    task: str
    recipe: str
    format: str
    variant: str = ""
    """Name of an alternative to the recipe's main spec of the task."""
    shots: int
    split: str
    prompt_version: int
    prompt_sha256: str
    comparability: int
    best_of: str = ""
    """Name of the best-form score to which this record belongs, if the recipe has them (OLMES)."""
    averaged: bool = False
    """Whether the task counts in its recipe's averages."""
    source: dict[str, str]
    """The publication that the prompt spec reproduces, and how well its protocol is known."""
    chance: float | None
    data: dict[str, SplitRecord]
    counts: Counts
    headline: str
    """Name of the first metric."""
    aggregation: Literal["micro", "macro"] = "micro"
    """micro: mean over documents; macro: unweighted mean over member tasks."""
    metrics: dict[str, MetricRecord]
    """Empty if documents are missing, unless failures were allowed."""
    subtasks: dict[str, SubtaskRecord] = Field(default_factory=dict)
    window: int | None = None
    """Context window in tokens, on which the score of held-out texts depends; None for other tasks."""
    requests: int
    tokens: int
    """Tokens computed for the task in the run's last session."""
    seconds: float
    """The task's share of the engine's time in the last session, by tokens."""
    notes: tuple[str, ...] = ()
    answer_notes: tuple[str, ...] = ()
    """The notes on the task's tokens and texts, which do not depend on the scorer."""
    problem: str = ""
    """Why there is no score, or which documents the score excludes."""


class BestForm(RunLogPart):
    """The score of a task's better form. The better of two noisy scores is too high on average."""

    name: str
    """Name of the task without a form."""
    chosen: str
    """Name of the chosen form's record."""
    metric: str
    score: MetricRecord
    """Score and error of the chosen form; the error does not cover the choice itself."""
    forms: dict[str, float]
    """Headline scores of all forms."""


class Average(RunLogPart):
    """A recipe's average over its tasks."""

    recipe: str
    metric: Literal["centred", "bits_per_byte"]
    """centred: mean of (score - chance) / (1 - chance), which is 0 at chance and 1 if all is correct."""
    score: MetricRecord
    tasks: tuple[str, ...]
    """Names of the tasks, which have equal weights."""


class SuiteTerm(RunLogPart):
    """A task's part in a suite's mean: `share * (score - baseline) / (1 - baseline)`."""

    task: str
    """Name of the task's record."""
    metric: str
    share: float
    baseline: float = 0.0
    shared: str = ""
    """The name that tasks with the same documents have in common; empty for the others."""

    @property
    def weight(self) -> float:
        """The factor of the task's score."""
        return self.share / (1 - self.baseline)


class SuiteMeanRecord(RunLogPart):
    """A mean of a suite, as a weighted sum of task scores."""

    title: str = ""
    metric: str
    """The tasks' common metric; centred: scores become 0 at their baselines; score: different metrics."""
    score: MetricRecord | None = None
    """The interval follows from the tasks' own intervals."""
    terms: tuple[SuiteTerm, ...]
    problem: str = ""
    """Why there is no value, or which tasks' documents it excludes."""

    @property
    def offset(self) -> float:
        """What the baselines take from the sum of the weighted scores."""
        return -math.fsum(term.weight * term.baseline for term in self.terms)


class SuiteRecord(RunLogPart):
    """A suite: its identity and its means."""

    name: str
    """The suite's address."""
    version: int
    sha256: str
    """Hash of members and means."""
    title: str
    source: dict[str, str]
    tasks: tuple[str, ...]
    """Names of the members' records."""
    means: dict[str, SuiteMeanRecord]
    """By name, the main one first; empty for a plain list."""

    def label(self, mean: str) -> str:
        """The name of a mean among those of all suites: the suite's if it has no other mean."""
        return self.name if len(self.means) == 1 else f"{self.name} {mean}"


class ShardRecord(RunLogPart):
    """A share of a run that a separate process answers (`run --shard`); `merge` finishes the run."""

    index: int
    """Index of the shard, from 0."""
    count: int
    """Number of shards of the run."""
    requests: int = 0
    """Number of distinct requests of this shard; 0 until they are built."""
    failures: dict[str, str] = Field(default_factory=dict)
    """Reason for each missing answer, by the hexadecimal key of its request."""
    costs: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Tokens computed and seconds in the last session, by task name."""

    @property
    def name(self) -> str:
        """The shard as `--shard` takes it."""
        return f"{self.index}/{self.count}"


class RunLog(RunLogPart):
    """The log of a run."""

    schema_version: Literal[1] = 1
    evalsuite_version: str
    status: Literal["running", "complete", "incomplete", "shard"]
    """incomplete: a task has no score, or a shard's request has no answer; shard: the shard is answered."""
    spec: RunSpec
    inputs_sha256: str
    """Digest of spec, prompts, data, model and package version: equal inputs give equal answers."""
    model: ModelRecord
    environment: dict[str, str]
    started: str
    """UTC, ISO 8601."""
    seconds: float = 0.0
    """Wall time of the last session."""
    tasks: tuple[TaskRecord, ...] = ()
    best_forms: tuple[BestForm, ...] = ()
    """Scores of tasks that are scored by their better form."""
    averages: tuple[Average, ...] = ()
    """Averages of the recipes that define them."""
    suites: tuple[SuiteRecord, ...] = ()
    """Values of the suites that were asked for."""
    notes: tuple[str, ...] = ()
    smoke: SmokeRecord | None = None
    """None if no model work was left to do, the engine holds no weights, or with `--no-smoke`."""
    shard: ShardRecord | None = None
    """The shard that this log describes; None for a whole run."""

    def to_pandas(self) -> "pd.DataFrame":
        """One row per task and metric, and per suite and mean."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {"model": self.spec.model, "task": task.name, "metric": name, **metric.model_dump()}
            for task in self.tasks
            for name, metric in task.metrics.items()
        ]
        rows += [
            {"model": self.spec.model, "task": suite.name, "metric": name, **mean.score.model_dump()}
            for suite in self.suites
            for name, mean in suite.means.items()
            if mean.score is not None
        ]
        return pd.DataFrame(rows, columns=["model", "task", "metric", "value", "stderr", "low", "high", "n"])

    def task(self, name: str) -> TaskRecord:
        """The record of a task by its short name or full address; KeyError if it is not in the run."""
        for record in self.tasks:
            if name in (record.name, record.address):
                return record
        raise KeyError(name)


def read_run(path: str | Path) -> RunLog:
    """The run log of a run folder or a `run.json`; raises StorageError if it cannot be read."""
    file = Path(path, "run.json") if Path(path).is_dir() else Path(path)
    try:
        return RunLog.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise StorageError(
            f"{file} is not a run log of schema version {SCHEMA_VERSION}; it is damaged or has another "
            "version."
        ) from error
