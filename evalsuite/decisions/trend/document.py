"""Scores over a series of checkpoints as one typed, versioned document.

Public names: `Trend`, `Checkpoint`, `TaskTrend`, `SuiteTrend`, `SuitePart`, `Point`, `TrendVerdict`,
`Carries`. Scores, gains and noise are in the unit of the metric (fractions); centred scores run from 0 at
chance to 1 at perfect.
"""

from typing import TYPE_CHECKING, Literal

from evalsuite.decisions.seeds.document import SeedNoise
from evalsuite.files.strict import Strict

if TYPE_CHECKING:
    import pandas as pd

TrendVerdict = Literal["yes", "no", "unknown"]
Carries = Literal["signal", "noise", "unknown"]


class Checkpoint(Strict):
    """One run of the series."""

    step: int
    """Training step, or the number of the run in the series if its step is unknown."""
    label: str
    """Model or folder."""
    path: str
    weights_sha256: str


class Point(Strict):
    """A score at one checkpoint."""

    step: int
    value: float
    low: float | None
    """95 % interval of this score alone."""
    high: float | None
    stderr: float | None


class TaskTrend(Strict):
    """One benchmark over the series."""

    name: str
    metric: str
    chance: float | None
    lower_is_better: bool
    points: tuple[Point, ...]
    """Scores by step, without checkpoints that have no score."""
    gain: float | None
    """Last minus first score; None with fewer than two points."""
    gain_low: float | None
    """95 % interval of the gain over documents; paired if both runs have samples."""
    gain_high: float | None
    gain_paired: bool
    sampling_error: float | None
    """Root mean square of the points' standard errors."""
    noise: float | None
    """Standard deviation of a checkpoint from the smooth curve; None with fewer than five points."""
    signal_to_noise: float | None
    """Absolute gain divided by the noise."""
    spacing: int | None
    """Number of checkpoints over which the mean gain exceeds twice its noise."""
    verdict: TrendVerdict
    """Whether this benchmark detects progress at this model size."""
    reason: str
    """Reason of the verdict, as a sentence without a full stop."""
    seed_noise: SeedNoise | None = None
    """The spread of this score between trainings that differ in their seed, where it is known."""


class SuitePart(Strict):
    """A task's part in a suite's mean, in the unit of the mean."""

    task: str
    gain: float | None
    """Its part in the mean's gain."""
    noise: float | None
    """Its part in the mean's noise: standard deviation between seeds, else between checkpoints."""
    noise_share: float | None
    """Share of the mean's variance, as if tasks were independent, among the tasks whose noise is known."""
    carries: Carries
    """signal: the task's gain exceeds what two equal trainings differ by in one direction in 5 % of cases."""


class SuiteTrend(Strict):
    """A mean of a suite over the series."""

    suite: str
    mean: str
    trend: TaskTrend
    """Points, gain, noise and verdict of the mean, as of a task."""
    parts: tuple[SuitePart, ...]


class Trend(Strict):
    """The scores of a series of checkpoints."""

    schema_version: Literal[1] = 1
    evalsuite_version: str
    step_source: Literal["names", "given", "order"]
    """names: numbers in the models' names. given: from the user. order: numbers of the runs in the series."""
    checkpoints: tuple[Checkpoint, ...]
    tasks: tuple[TaskTrend, ...]
    suites: tuple[SuiteTrend, ...] = ()
    """Means of the suites that the runs were asked for."""
    average: TaskTrend | None
    """Unweighted mean of chance-centred scores of the tasks that all checkpoints have; None without any."""
    averaged: tuple[str, ...]
    """Names of these tasks."""
    notes: tuple[str, ...]

    def task(self, name: str) -> TaskTrend:
        """The task of that name; KeyError if the series has no such task."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise KeyError(name)

    def to_pandas(self) -> "pd.DataFrame":
        """One row per task and checkpoint."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"task": task.name, "metric": task.metric, **point.model_dump()}
                for task in self.tasks
                for point in task.points
            ]
        )
