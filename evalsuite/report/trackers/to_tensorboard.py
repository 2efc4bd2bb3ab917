"""TensorBoard: a project is a log directory, a training a folder in it with one event file of ours.

TensorBoard's data server drops the points at and after the step of each new point of a tag (`reservoir.rs`,
"preemption"), so that points in any order cannot be appended. The event file is written anew instead, in the
order of the steps, and takes the place of the earlier one.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from evalsuite.report.trackers.content import began, scores
from evalsuite.report.trackers.tracker import CurvePoint, Tracker
from evalsuite.results.runlog import RunLog

NAME = re.compile(r"events\.out\.tfevents\.(\d+)\.evalsuite")
"""Of our event files; the number grows. A trainer's own event files in the folder are left alone."""

Points = dict[int, dict[str, tuple[float, float]]]
"""By step and tag: value and time."""


class TensorBoardCurve:
    """The points of our event files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = sorted((path for path in folder.glob("*") if NAME.fullmatch(path.name)), key=_number)
        self._points = _points_in(self._files)

    def known(self, point: CurvePoint) -> frozenset[str]:
        """What the files hold."""
        return frozenset(point.scores) & frozenset(self._points.get(point.step, ()))

    def add(self, point: CurvePoint) -> None:
        """Add a point to those that `write` writes."""
        named = self._points.setdefault(point.step, {})
        named.update({name: (value, point.time) for name, value in point.scores.items()})

    def write(self) -> None:
        """Replace the event files by one that holds all points."""
        number = _number(self._files[-1]) + 1 if self._files else 1
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / ".evalsuite.unfinished"
        _write(unfinished, self._points)
        os.replace(unfinished, self._folder / f"events.out.tfevents.{number:010d}.evalsuite")
        for path in self._files:
            path.unlink(missing_ok=True)


def _number(path: Path) -> int:
    matched = NAME.fullmatch(path.name)
    return int(matched[1]) if matched else 0


def _points_in(files: list[Path]) -> Points:
    loader = import_module("tensorboard.backend.event_processing.event_file_loader").LegacyEventFileLoader
    points: Points = {}
    for path in files:
        for event in loader(str(path)).Load():
            for value in event.summary.value:
                points.setdefault(event.step, {})[value.tag] = (value.simple_value, event.wall_time)
    return points


def _write(path: Path, points: Points) -> None:
    events = import_module("tensorboard.compat.proto.event_pb2")
    summaries = import_module("tensorboard.compat.proto.summary_pb2")
    writer = import_module("tensorboard.summary.writer.record_writer").RecordWriter
    first = min((time for tags in points.values() for _, time in tags.values()), default=0.0)
    with path.open("wb") as file:
        records = writer(file)
        records.write(events.Event(wall_time=first, file_version="brain.Event:2").SerializeToString())
        for step, tags in sorted(points.items()):
            for tag, (value, time) in tags.items():
                summary = summaries.Summary(value=[summaries.Summary.Value(tag=tag, simple_value=value)])
                records.write(events.Event(wall_time=time, step=step, summary=summary).SerializeToString())
        records.flush()


@contextmanager
def _curve(project: str, name: str, config: Mapping[str, str]) -> Iterator[TensorBoardCurve]:
    curve = TensorBoardCurve(Path(project, name))
    yield curve
    curve.write()


def _send(log: RunLog, project: str, name: str) -> None:
    with _curve(project, name, {}) as curve:
        curve.add(CurvePoint(0, scores(log), began(log)))


TENSORBOARD = Tracker("tensorboard", "tensorboard", _send, _curve)
