"""The comparison of runs as one typed, versioned document.

Public names: `Comparison`, `PairComparison`, `TaskComparison`, `SuiteComparison`, `MetricComparison`,
`Difference`, `Flip`, `TextDifference`, `RunInfo`. Scores and deltas are fractions (or the metric's own unit),
candidate minus baseline.
"""

from typing import TYPE_CHECKING, Any, Literal

from evalsuite.files.strict import Strict

if TYPE_CHECKING:
    import pandas as pd


class RunInfo(Strict):
    """The identity of a compared run."""

    path: str
    """Path from the command line."""
    label: str
    """Short name: the model, or the folder if both models have the same name."""
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
    "window",
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
    """A difference besides the model, which makes the runs less comparable."""

    kind: DifferenceKind
    task: str
    """Name of the task; empty for a difference of the whole runs."""
    text: str
    """One sentence."""


class Flip(Strict):
    """A common document whose value differs between the runs."""

    doc: int
    """Index of the document in the baseline's split."""
    candidate_doc: int
    subtask: str
    key: str
    """Content key of the document, as in the samples."""
    baseline: float
    candidate: float


class MetricComparison(Strict):
    """One metric of one task on the common documents; a perplexity in nats, the logarithm of its score."""

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
    """Two-sided p-value for no difference."""
    p_holm: float | None
    """Adjusted over the headline metrics of all tasks of the pair; None for other metrics."""
    mde: float | None
    """Smallest true difference that these documents detect with 80 % power (two-sided 5 %)."""
    discordance: float
    """Mean squared difference per document; for 0/1 verdicts, the share of changed verdicts."""
    effective_n: float
    """Number of independent documents with the same information."""
    n: int
    """Number of common documents with a verdict in both runs."""
    lower_is_better: bool
    gained: int
    """Number of documents that improved."""
    lost: int
    """Number of documents that became worse."""
    flips: tuple[Flip, ...]
    """All changed documents, losses first."""

    @property
    def verdict(self) -> Literal["better", "worse", "unclear"]:
        """Whether the difference is significant at 5 %, over all tasks if p was adjusted."""
        if (self.p if self.p_holm is None else self.p_holm) >= 0.05 or not self.delta:
            return "unclear"
        return "better" if (self.delta > 0) != self.lower_is_better else "worse"


class TextDifference(Strict):
    """One held-out text that both runs scored, in bits of the whole text whatever the tokenizers."""

    doc: int
    """Index of the document in the baseline's split."""
    candidate_doc: int
    subtask: str
    key: str
    bytes: int
    baseline_bits: float
    candidate_bits: float

    @property
    def difference(self) -> float:
        """Bits, candidate minus baseline: negative where the candidate finds the text cheaper."""
        return self.candidate_bits - self.baseline_bits


class TaskComparison(Strict):
    """One task of a pair of runs."""

    name: str
    address: str
    headline: str
    common: int
    """Number of documents in both runs."""
    only_in_baseline: int
    only_in_candidate: int
    unscored: int
    """Number of common documents without a verdict in at least one run."""
    clusters: int | None
    """Number of sources that the common documents share, if sources are the sampled unit."""
    metrics: dict[str, MetricComparison]
    """Empty if nothing can be compared."""
    texts: tuple[TextDifference, ...] = ()
    """The common documents of held-out texts, in the baseline's order."""
    problem: str = ""
    """Reason why nothing can be compared."""


class SuiteComparison(Strict):
    """A suite's mean on the common documents of its tasks."""

    name: str
    """The suite, with the mean's name if it has several."""
    metric: str
    lower_is_better: bool
    tasks: int
    """Number of tasks in the mean."""
    baseline: float | None = None
    candidate: float | None = None
    delta: float | None = None
    low: float | None = None
    """95 % interval of the delta, from the tasks' paired intervals."""
    high: float | None = None
    problem: str = ""
    """Reason why nothing can be compared."""

    @property
    def verdict(self) -> Literal["better", "worse", "unclear"]:
        """Whether the interval excludes 0, for this value alone."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "unclear"
        return "better" if (self.low > 0) != self.lower_is_better else "worse"


class PairComparison(Strict):
    """The baseline and one candidate."""

    candidate: RunInfo
    tasks: tuple[TaskComparison, ...]
    only_in_baseline: tuple[str, ...]
    """Names of tasks."""
    only_in_candidate: tuple[str, ...]
    differences: tuple[Difference, ...]
    suites: tuple[SuiteComparison, ...] = ()

    def task(self, name: str) -> TaskComparison:
        """The task of that name; KeyError if the pair has no such task."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise KeyError(name)


class Comparison(Strict):
    """Candidates, each compared with the baseline."""

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
