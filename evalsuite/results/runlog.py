"""The run log (`run.json`): one typed, versioned document that everything downstream reads.

Its JSON schema is `run.schema.json` beside this file (`make schema` writes it).
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalsuite.data.subset import Subset
from evalsuite.errors import StorageError
from evalsuite.types import Bos

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
UNKNOWN = "unknown"
"""In place of a digest that imported results do not hold."""


class _Part(BaseModel):
    # JSON has no NaN and no infinity: pydantic would write null, which no number can be read from again.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RunSpec(_Part):
    """What was asked for: the same spec in the same folder is the same run."""

    tasks: tuple[str, ...]
    """Full addresses."""
    model: str
    revision: str | None = None
    split: str | None = None
    limit: int | None = None
    sample: int | None = None
    """Documents drawn at random, by the seed."""
    seed: int = 0
    engine: str = "native"
    dtype: str = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    allow_data_drift: bool = False
    logits_dtype: Literal["float32", "model"] = "float32"
    tokenizer: str | None = None
    """Folder, alias or hub id of another tokenizer than the model's."""
    bos: Bos | None = None
    """Whether a BOS token begins each prompt, in place of what the prompt specs say."""
    prefix_token: str | None = None
    """What stands before a text that has no context: a token as the vocabulary spells it, or its id."""
    max_length: int | None = None
    """A shorter context window than the model's, in tokens."""
    engine_args: tuple[str, ...] = ()
    """The engine's own settings that can change an answer, each `NAME=VALUE`, sorted."""

    ADDED_LATER: ClassVar[frozenset[str]] = frozenset(
        {"sample", "tokenizer", "bos", "prefix_token", "max_length"}
    )
    """Fields that version 0.1.0 lacks; hashed only where they are set, so that folders of that version keep
    their name."""

    @property
    def content(self) -> dict[str, Any]:
        """What hashes of the spec are made of."""
        unset = {
            name for name in self.ADDED_LATER if getattr(self, name) == type(self).model_fields[name].default
        }
        return self.model_dump(mode="json", exclude=unset)

    @property
    def subset(self) -> Subset:
        """Which documents of each task are evaluated."""
        return Subset(self.limit, self.sample, self.seed)

    def continues(self, earlier: "RunSpec") -> bool:
        """Whether this spec asks for all that `earlier` asked for, and at most for more documents of the same
        kind."""
        if self.model_copy(update={"limit": earlier.limit, "sample": earlier.sample}) != earlier:
            return False
        whole = self.limit is None and self.sample is None
        return whole or (_grows(earlier.limit, self.limit) and _grows(earlier.sample, self.sample))


def _grows(before: int | None, after: int | None) -> bool:
    return before == after or (before is not None and after is not None and before <= after)


class ModelRecord(_Part):
    """The model that answered."""

    id: str
    """Hub id, or the path as given."""
    revision: str | None
    weights_sha256: str
    tokenizer_sha256: str
    numerics: str


class SplitRecord(_Part):
    """A split that was read."""

    rows: int
    fingerprint: str
    source: str


class MetricRecord(_Part):
    """A score with its uncertainty."""

    value: float
    stderr: float | None
    low: float | None
    """95 % interval."""
    high: float | None
    n: int
    clusters: int | None = None
    """Sources that the documents share, where the standard error counts these."""
    problem_stderr: float | None = None
    """Part of the standard error that more answers to each document would not take away."""
    sampling_stderr: float | None = None
    """Part that is another seed's, where documents have several answers."""

    @classmethod
    def of_finite(cls, *, value: float, n: int, **others: float | None) -> "MetricRecord | None":
        """The record with those of its numbers that are finite; None where the value itself is not."""
        if not math.isfinite(value):
            return None
        finite = {
            name: one if one is not None and math.isfinite(one) else None for name, one in others.items()
        }
        return cls.model_validate(
            {"stderr": None, "low": None, "high": None, **finite, "value": value, "n": n}
        )


class SubtaskRecord(_Part):
    """A member task."""

    scored: int
    metrics: dict[str, float]


class Counts(_Part):
    """Documents and what became of them."""

    documents: int
    scored: int
    failed: int = 0
    """Left without an answer or verdict by the infrastructure."""
    too_long: int = 0
    """Longer than the context window."""
    shots_dropped: int = 0
    """Scored with fewer shots, to fit the context window."""
    fewer_shots: int = 0
    """Shown fewer shots than the spec has: among them was the document itself, and too few rows were left."""
    among_shots: int = 0
    """Shown themselves, solved, among their shots."""
    joined: int = 0
    """Scored although a token spans the join of context and continuation."""
    realigned: int = 0
    """Of these: scored from the last token boundary that all choices share."""
    scored_bos: int = 0
    """Scored with a BOS token among the scored ones."""
    cut: int = 0
    """Generated texts that ended at the token limit or the context window."""
    at_window: int = 0
    """Those of them that ended at the context window, before their limit."""
    shortened: int = 0
    """Prompts that lost their beginning, to leave room for the answer."""
    near_ties: int = 0
    """Scored although the two best choices are closer than the rounding of the numerics class."""


class TaskRecord(_Part):
    """One task: how it was asked, on what data, and the scores."""

    name: str
    """Shortest address; names the samples file."""
    address: str
    task: str
    recipe: str
    format: str
    variant: str = ""
    """Named alternative to the recipe's main spec of the task."""
    shots: int
    split: str
    prompt_version: int
    prompt_sha256: str
    comparability: int
    best_of: str = ""
    """Name of the score that is the better form's, where the recipe scores a task by that (OLMES)."""
    averaged: bool = False
    """It counts in its recipe's averages."""
    source: dict[str, str]
    """What the prompt spec reproduces, and how well that is known."""
    chance: float | None
    data: dict[str, SplitRecord]
    counts: Counts
    headline: str
    """Name of the first metric."""
    aggregation: Literal["micro", "macro"] = "micro"
    """Mean over documents, or plain mean over member tasks."""
    metrics: dict[str, MetricRecord]
    """Empty while documents are missing, unless failures were allowed."""
    subtasks: dict[str, SubtaskRecord] = Field(default_factory=dict)
    requests: int
    tokens: int
    """Tokens computed for it in this run's last session."""
    seconds: float
    """Its share of the engine's time in the last session, by tokens."""
    notes: tuple[str, ...] = ()
    answer_notes: tuple[str, ...] = ()
    """Those of the notes that tell of the task's tokens and texts, whoever scores them."""
    problem: str = ""
    """Why there is no score, or which documents a score leaves out."""


class BestForm(_Part):
    """A task's score by its better form. The better of two noisy scores is too high on average."""

    name: str
    """The task without a form."""
    chosen: str
    """Name of the form's record."""
    metric: str
    score: MetricRecord
    """The chosen form's, and its error: that of the choice is not in it."""
    forms: dict[str, float]
    """Headline scores of all its forms."""


class Average(_Part):
    """A recipe's average over its tasks."""

    recipe: str
    metric: Literal["centred", "bits_per_byte"]
    """centred: of (score - chance) / (1 - chance), 0 where blind guessing is and 1 where all is right."""
    score: MetricRecord
    tasks: tuple[str, ...]
    """Names of the tasks, which weigh alike."""


class ShardRecord(_Part):
    """One share of a run, answered by a process of its own (`run --shard`); `merge` finishes the run."""

    index: int
    """From 0."""
    count: int
    """Shards of the run."""
    requests: int = 0
    """Distinct requests of its share; 0 until they are found."""
    failures: dict[str, str] = Field(default_factory=dict)
    """By key of the request (hexadecimal): why the infrastructure left it without an answer."""
    costs: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """By task name: tokens computed, and seconds, in the last session."""

    @property
    def name(self) -> str:
        """As in `--shard`."""
        return f"{self.index}/{self.count}"


class RunLog(_Part):
    """The whole run."""

    schema_version: Literal[1] = 1
    evalsuite_version: str
    status: Literal["running", "complete", "incomplete", "shard"]
    """incomplete: at least one task has no score, or requests of a shard have no answer; shard: a share of a
    run is answered."""
    spec: RunSpec
    inputs_sha256: str
    """Over spec, prompts, data, model and package version: equal inputs, equal answers."""
    model: ModelRecord
    environment: dict[str, str]
    started: str
    """UTC, ISO 8601."""
    seconds: float = 0.0
    """Wall time of the last session."""
    tasks: tuple[TaskRecord, ...] = ()
    best_forms: tuple[BestForm, ...] = ()
    """Of tasks that are scored by their better form."""
    averages: tuple[Average, ...] = ()
    """Of recipes that have them."""
    notes: tuple[str, ...] = ()
    shard: ShardRecord | None = None
    """Which share of a run this is; None for a whole one."""

    def to_pandas(self) -> "pd.DataFrame":
        """One row per task and metric."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {"model": self.spec.model, "task": task.name, "metric": name, **metric.model_dump()}
            for task in self.tasks
            for name, metric in task.metrics.items()
        ]
        return pd.DataFrame(rows, columns=["model", "task", "metric", "value", "stderr", "low", "high", "n"])

    def task(self, name: str) -> TaskRecord:
        """The record of a task by its short name or full address; KeyError if it is not in the run."""
        for record in self.tasks:
            if name in (record.name, record.address):
                return record
        raise KeyError(name)


def read_run(path: str | Path) -> RunLog:
    """The run log of a run folder or of a `run.json`; raises StorageError with what is wrong with it."""
    file = Path(path, "run.json") if Path(path).is_dir() else Path(path)
    try:
        return RunLog.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise StorageError(
            f"{file} is not a run log of schema version {SCHEMA_VERSION}; it is damaged or of another version."
        ) from error
