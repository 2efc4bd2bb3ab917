"""The curve of a training in a tracker: one point per checkpoint, added in any order, and each of them once.

What a tracker has confirmed is written into the run's folder (`trackers.json`). A process that is killed
between the confirmation and the writing asks the tracker what it has when it starts again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from evalsuite.files.replace import replace_text
from evalsuite.report.trackers.content import began, curve_settings, scores
from evalsuite.report.trackers.send import errors_of, tracker_called
from evalsuite.report.trackers.tracker import CurvePoint
from evalsuite.results.folder import disk_errors
from evalsuite.results.runlog import RunLog

STATE = "trackers.json"
_CONFIRMED = TypeAdapter(dict[str, list[str]])


@dataclass(frozen=True)
class RunPoint:
    """A finished run as the point of a curve."""

    folder: Path
    """The run's folder."""
    log: RunLog
    step: int
    """Training step."""

    @property
    def point(self) -> CurvePoint:
        """Its scores."""
        return CurvePoint(self.step, scores(self.log), began(self.log))


def send_points(points: Sequence[RunPoint], tracker: str, project: str, name: str) -> int:
    """Add the scores that the tracker lacks to the curve of a training; returns the number of points sent.

    Args:
        points: the checkpoints, in any order.
        tracker: name of the tracker.
        project: the tracker's project (MLflow: experiment; TensorBoard: log directory).
        name: the tracker's run that stands for the training.

    Raises:
        UserError: the tracker is unknown, its package is not installed, or it does not take the points; what
            it confirmed before is not sent again.
        StorageError: `trackers.json` cannot be written.
    """
    target = f"{tracker}:{project}/{name}"
    waiting: list[tuple[RunPoint, dict[str, float]]] = []
    for each in points:
        confirmed = _confirmed(each.folder, target, each.step)
        left = {key: value for key, value in each.point.scores.items() if key not in confirmed}
        if left:
            waiting.append((each, left))
    if not waiting:
        return 0
    sent = 0
    with errors_of(tracker):
        opened = tracker_called(tracker).open_curve(project, name, curve_settings(points[-1].log))
        with opened as curve:
            for each, left in waiting:
                known = curve.known(replace(each.point, scores=left))
                lacking = {key: value for key, value in left.items() if key not in known}
                if lacking:
                    curve.add(replace(each.point, scores=lacking))
                    sent += 1
    for each, _ in waiting:
        _confirm(each.folder, target, each.step, each.point.scores)
    return sent


def _state(folder: Path) -> dict[str, list[str]]:
    """Names of the confirmed scores by target and step; empty without a readable file."""
    try:
        return _CONFIRMED.validate_json((folder / STATE).read_bytes())
    except (OSError, ValueError):
        return {}


def _place(target: str, step: int) -> str:
    return f"{target} step {step}"


def _confirmed(folder: Path, target: str, step: int) -> frozenset[str]:
    return frozenset(_state(folder).get(_place(target, step), ()))


def _confirm(folder: Path, target: str, step: int, names: Mapping[str, float]) -> None:
    state = _state(folder)
    known = state.setdefault(_place(target, step), [])
    known += [name for name in names if name not in known]
    with disk_errors(folder):
        replace_text(folder / STATE, json.dumps(state, indent=1) + "\n")
