"""Measures the spread of scores between trainings that differ in their seed.

Public names: `Seeds`, `open_seeds`.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalsuite.decisions.seeds.document import SeedNoise
from evalsuite.errors import UserError
from evalsuite.results.read import RunSide, open_run
from evalsuite.results.runlog import UNKNOWN, TaskRecord
from evalsuite.results.steps import step_in

FEWEST_TRAININGS = 2


@dataclass(frozen=True)
class Seeds:
    """Runs of trainings that differ in their seed alone, all at one step."""

    sides: Sequence[RunSide]

    @property
    def source(self) -> str:
        """The runs, as a phrase."""
        return f"{len(self.sides)} trainings, {', '.join(side.folder.name for side in self.sides)}"

    def noise(self, name: str, record: TaskRecord, metric: str) -> SeedNoise | None:
        """The spread of a task's score; None if a run lacks the score.

        Raises:
            UserError: a run scored the task by another prompt spec, or on other documents.
        """
        records = [side.tasks.get(name) for side in self.sides]
        for side, other in zip(self.sides, records, strict=True):
            if other is not None and _protocol(other) != _protocol(record):
                raise UserError(
                    f"{side.path} scored {name} by another prompt spec or on other documents than the runs "
                    "that are judged, so that its noise would be another; run it with the same limits."
                )
        values = [other.metrics[metric].value for other in records if other and metric in other.metrics]
        return self._spread(values)

    def noise_of_mean(self, value_of: Callable[[Mapping[str, TaskRecord]], float | None]) -> SeedNoise | None:
        """The spread of a value that each run's records give; None if a run has no such value."""
        values = [value for side in self.sides if (value := value_of(side.tasks)) is not None]
        return self._spread(values)

    def _spread(self, values: Sequence[float]) -> SeedNoise | None:
        if len(values) < len(self.sides) or not all(map(math.isfinite, values)):
            return None
        return SeedNoise(sd=statistics.stdev(values), trainings=len(values), source=self.source)


def open_seeds(runs: Sequence[str | Path]) -> Seeds | None:
    """Open the runs of several seeds; None if there are none.

    Raises:
        UserError: there is only one run, a run cannot be read, two have the same weights, or the names say
            different training steps.
    """
    if not runs:
        return None
    sides = [open_run(Path(run)) for run in runs]
    if len(sides) < FEWEST_TRAININGS:
        raise UserError("--seeds needs the runs of at least two trainings; give it once for each run.")
    for place, side in enumerate(sides):
        for other in sides[:place]:
            if side.log.model.weights_sha256 == other.log.model.weights_sha256 != UNKNOWN:
                raise UserError(
                    f"--seeds: {other.path} and {side.path} have the same weights; give runs of different "
                    "trainings."
                )
    steps = {step for side in sides if (step := _step(side)) is not None}
    if len(steps) > 1:
        raise UserError(
            f"--seeds: the runs are of steps {', '.join(map(str, sorted(steps)))}; give runs of one step, "
            "so that they differ in their seed alone."
        )
    return Seeds(sides)


def _step(side: RunSide) -> int | None:
    """The training step that a run's names give."""
    names = (side.log.model.revision or "", side.log.spec.model, side.folder.resolve().name)
    return next((step for name in names if (step := step_in(name)) is not None), None)


def _protocol(task: TaskRecord) -> tuple[object, ...]:
    """What must be equal for two spreads of a task to be the same."""
    data = task.data.get(task.split)
    return task.prompt_sha256, task.split, data and data.fingerprint, task.counts.documents
