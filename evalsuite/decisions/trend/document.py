"""Scores over a series of checkpoints as one typed, versioned document.

Public names: `Trend`, `Checkpoint`, `TaskTrend`, `Point`, `TrendVerdict`. Scores, gains and noise are in the
unit of the metric (fractions); centred scores run from 0 at chance to 1 at perfect.
"""

from typing import TYPE_CHECKING, Literal

from evalsuite.files.strict import Strict

if TYPE_CHECKING:
    import pandas as pd

TrendVerdict = Literal["yes", "no", "unknown"]


class Checkpoint(Strict):
    """One run of the series."""

    step: int
    """Training step, or the position in the series where no step is known."""
    label: str
    """Model or folder."""
    path: str
    weights_sha256: str


class Point(Strict):
    """A score at one checkpoint."""

    step: int
    value: float
    low: float | None
    """95 % interval of the score, each checkpoint by itself."""
    high: float | None
    stderr: float | None


class TaskTrend(Strict):
    """One benchmark over the series."""

    name: str
    metric: str
    chance: float | None
    lower_is_better: bool
    points: tuple[Point, ...]
    """By step; checkpoints without a score are left out."""
    gain: float | None
    """Last minus first score; None with fewer than two points."""
    gain_low: float | None
    """95 % interval of the gain over documents; paired where the samples of both runs are there."""
    gain_high: float | None
    gain_paired: bool
    sampling_error: float | None
    """Root mean square of the points' standard errors."""
    noise: float | None
    """Standard deviation of a checkpoint about the smooth course; None with fewer than five points."""
    signal_to_noise: float | None
    """Size of the gain over the noise."""
    spacing: int | None
    """Checkpoints apart at which, at the mean pace of the series, a gain exceeds twice its noise."""
    verdict: TrendVerdict
    """Whether this benchmark can show progress at this size."""
    reason: str
    """Why, in one sentence without a full stop."""


class Trend(Strict):
    """The series."""

    schema_version: Literal[1] = 1
    evalsuite_version: str
    step_source: Literal["names", "given", "order"]
    """Steps from the numbers in the models' names, from the user, or positions in the order given."""
    checkpoints: tuple[Checkpoint, ...]
    tasks: tuple[TaskTrend, ...]
    average: TaskTrend | None
    """Plain mean of the chance-centred scores of the tasks that every checkpoint has; None without any."""
    averaged: tuple[str, ...]
    """Names of these tasks."""
    notes: tuple[str, ...]

    def task(self, name: str) -> TaskTrend:
        """By name; KeyError if the series has no such task."""
        for one in self.tasks:
            if one.name == name:
                return one
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
