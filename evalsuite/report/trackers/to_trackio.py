"""Trackio: a training is the run of that name, which is resumed; the step is that of the training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from evalsuite.report.trackers.content import scores, settings
from evalsuite.report.trackers.tracker import CurvePoint, Tracker
from evalsuite.results.runlog import RunLog


class TrackioCurve:
    """A run in Trackio's local database, from which it is synchronised to a server, if there is one."""

    def __init__(self, trackio: Any, steps: Mapping[int, frozenset[str]]) -> None:
        self._trackio = trackio
        self._steps = steps

    def known(self, point: CurvePoint) -> frozenset[str]:
        """What the local database has."""
        return frozenset(point.scores) & self._steps.get(point.step, frozenset())

    def add(self, point: CurvePoint) -> None:
        """Queue a row; Trackio has stored all rows when the run is finished."""
        self._trackio.log(dict(point.scores), step=point.step)


@contextmanager
def _curve(project: str, name: str, config: Mapping[str, str]) -> Iterator[TrackioCurve]:
    trackio = import_module("trackio")
    steps = _steps_of(project, name)
    trackio.init(project=project, name=name, config=dict(config), resume="allow", embed=False)
    try:
        yield TrackioCurve(trackio, steps)
    finally:
        trackio.finish()


def _steps_of(project: str, name: str) -> dict[int, frozenset[str]]:
    """Names of the stored scores by step (`trackio.sqlite_storage`, Trackio 0.20 to 0.43)."""
    storage = import_module("trackio.sqlite_storage").SQLiteStorage
    found: dict[int, set[str]] = {}
    for row in storage.get_logs(project, name):
        names = {key for key, value in row.items() if value is not None}
        found.setdefault(int(row["step"]), set()).update(names)
    return {step: frozenset(names) for step, names in found.items()}


def _send(log: RunLog, project: str, name: str) -> None:
    trackio = import_module("trackio")

    trackio.init(project=project, name=name, config=settings(log))
    trackio.log(scores(log))
    trackio.finish()


TRACKIO = Tracker("trackio", "trackio", _send, _curve)
