"""The noise between trainings as typed values.

Public names: `SeedNoise`, `PublishedNoise`.
"""

from pydantic import Field

from evalsuite.files.strict import Strict
from evalsuite.stats.seeds import apart_by_chance


class SeedNoise(Strict):
    """The spread of a score between trainings that should be equal, in the unit of the score."""

    sd: float = Field(ge=0)
    """Sample standard deviation (n - 1)."""
    trainings: int = Field(ge=2)
    source: str
    """Which trainings, as a phrase."""

    def apart(self, alpha: float) -> float:
        """The difference that two equal trainings exceed in one direction with probability `alpha`."""
        return apart_by_chance(self.sd, self.trainings, alpha)


class PublishedSpread(Strict):
    """A published spread."""

    sd: float = Field(ge=0)
    trainings: int = Field(ge=2)
    source: str
    """Key of the table's sources."""


class PublishedTask(PublishedSpread):
    """The published spread of a task's score."""

    metric: str


class PublishedNoise(Strict):
    """The table of published spreads (`published.yaml`)."""

    sources: dict[str, str]
    """Which trainings, and where they are published, by a short name."""
    tasks: dict[str, PublishedTask]
    """By `recipe/task`."""
    suites: dict[str, PublishedSpread] = Field(default={})
    """By suite and mean (`core v1`)."""

    def noise(self, row: PublishedSpread) -> SeedNoise:
        """The spread with its source in words."""
        return SeedNoise(sd=row.sd, trainings=row.trainings, source=self.sources[row.source])
