"""What a module of this folder offers for its tracker."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from evalsuite.results.runlog import RunLog


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The scores of one checkpoint."""

    step: int
    """Training step."""
    scores: Mapping[str, float]
    time: float
    """When the run began, in seconds since 1970."""


class Curve(Protocol):
    """One tracker run that holds the points of a training, in any order."""

    def known(self, point: CurvePoint) -> frozenset[str]:
        """Names of the point's scores that the tracker has at its step; empty where it cannot tell."""
        ...

    def add(self, point: CurvePoint) -> None:
        """Send a point; it may be in flight until the curve is closed."""
        ...


@dataclass(frozen=True)
class Tracker:
    """A tracker."""

    package: str
    """Python package, which is imported when the tracker is used."""
    extra: str
    """Extra of evalsuite that installs it."""
    send_run: Callable[[RunLog, str, str], None]
    """Sends a finished run to a project, under a name, as a run of its own."""
    open_curve: Callable[[str, str, Mapping[str, str]], AbstractContextManager[Curve]]
    """Opens the run of a training by project and name, and makes it with these settings if there is none. The
    tracker has confirmed all points when the context ends without an error."""
