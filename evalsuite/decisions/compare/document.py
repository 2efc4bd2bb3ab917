"""The comparison of runs as one typed, versioned document.

Public names: `Comparison`, `PairComparison`, `TaskComparison`, `MetricComparison`, `Difference`, `Flip`,
`RunInfo`. Scores and deltas are fractions (or the metric's own unit), candidate minus baseline.
"""

from typing import TYPE_CHECKING, Any, Literal

from evalsuite.files.strict import Strict

if TYPE_CHECKING:
    import pandas as pd


class RunInfo(Strict):
    """Which run stands on a side."""

    path: str
    """As given."""
    label: str
    """Short name: the model, or the folder where the models' names do not differ."""
    model: str
    weights_sha256: str
    numerics: str
    evalsuite_version: str
    started: str


DifferenceKind = Literal[
    "prompt",
    "comparability",
    "data",
    "split",
    "limit",
    "aggregation",
    "headline",
    "contexts",
    "missing",
    "failures",
    "numerics",
    "engine",
    "package",
    "evalsuite",
    "seed",
    "model",
]


class Difference(Strict):
    """Something besides the model in which the runs differ, so that the pair is not quite comparable."""

    kind: DifferenceKind
    task: str
    """Empty for what concerns the whole run."""
    text: str
    """One sentence."""


class Flip(Strict):
    """A common document whose value differs."""

    doc: int
    """Its position in the baseline's split."""
    candidate_doc: int
    subtask: str
    key: str
    """Content key, as in the samples."""
    baseline: float
    candidate: float


class MetricComparison(Strict):
    """One metric of one task on the common documents."""

    baseline: float
    candidate: float
    delta: float
    stderr: float | None
    low: float | None
    """Paired 95 % interval of the delta."""
    high: float | None
    interval: Literal["tango", "bootstrap", "t", "none"]
    test: Literal["mcnemar", "sign_flip"]
    p: float
    """Two-sided, of no difference."""
    p_holm: float | None
    """Adjusted over the headline metrics of all tasks of the pair; None for other metrics."""
    mde: float | None
    """Smallest true difference that these documents would show with 80 % power (two-sided 5 %)."""
    discordance: float
    """Mean squared difference of a document: the share with another verdict where verdicts are 0/1."""
    effective_n: float
    """Independent documents that would tell as much."""
    n: int
    """Common documents with a verdict in both runs."""
    lower_is_better: bool
    gained: int
    """Documents that became better."""
    lost: int
    """Documents that became worse."""
    flips: tuple[Flip, ...]
    """All of them, losses first."""

    @property
    def verdict(self) -> Literal["better", "worse", "unclear"]:
        """Whether a difference is shown at 5 %, over all tasks where p was adjusted."""
        if (self.p if self.p_holm is None else self.p_holm) >= 0.05 or not self.delta:
            return "unclear"
        return "better" if (self.delta > 0) != self.lower_is_better else "worse"


class TaskComparison(Strict):
    """One task of a pair of runs."""

    name: str
    address: str
    headline: str
    common: int
    """Documents in both runs."""
    only_in_baseline: int
    only_in_candidate: int
    unscored: int
    """Common documents without a verdict in at least one run."""
    clusters: int | None
    """Sources that the common documents share, where these are the sampled unit."""
    metrics: dict[str, MetricComparison]
    """Empty where nothing can be compared."""
    problem: str = ""
    """Why."""


class PairComparison(Strict):
    """The baseline and one candidate."""

    candidate: RunInfo
    tasks: tuple[TaskComparison, ...]
    only_in_baseline: tuple[str, ...]
    """Names of tasks."""
    only_in_candidate: tuple[str, ...]
    differences: tuple[Difference, ...]

    def task(self, name: str) -> TaskComparison:
        """By name; KeyError if the pair has no such task."""
        for one in self.tasks:
            if one.name == name:
                return one
        raise KeyError(name)


class Comparison(Strict):
    """Runs, each compared with the first."""

    schema_version: Literal[1] = 1
    evalsuite_version: str
    baseline: RunInfo
    pairs: tuple[PairComparison, ...]

    def to_pandas(self) -> "pd.DataFrame":
        """One row per candidate, task and metric; flips as counts."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {"candidate": pair.candidate.label, "task": task.name, "metric": name}
            | metric.model_dump(exclude={"flips"})
            for pair in self.pairs
            for task in pair.tasks
            for name, metric in task.metrics.items()
        ]
        return pd.DataFrame(rows)
