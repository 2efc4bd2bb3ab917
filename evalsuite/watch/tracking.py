"""Keeps the trackers' curves of a series current: what a tracker did not take is offered again."""

from pathlib import Path

from evalsuite.errors import UserError
from evalsuite.report.trackers import RunPoint, check_tracker, send_points
from evalsuite.results.steps import step_of
from evalsuite.watch.options import WatchOptions
from evalsuite.watch.runs import SeriesFolder


class Tracking:
    """The trackers of a series; raises UserError if one is unknown or its package is not installed.

    Args:
        series: the runs.
        options: names the trackers, their project and their run.
        source: the watched folder, whose name the trackers' run has by default.
    """

    def __init__(self, series: SeriesFolder, options: WatchOptions, source: Path) -> None:
        for tracker in options.trackers:
            check_tracker(tracker)
        self._series = series
        self._options = options
        self._name = options.tracker_run or source.resolve().name or "training"

    def send(self) -> list[str]:
        """Send each tracker the runs that it lacks; a sentence for each one that does not take them."""
        if not self._options.trackers:
            return []
        found = [(side, step_of(side)) for side in self._series.finished()]
        points = [RunPoint(side.folder, side.log, step) for side, step in found if step is not None]
        problems = []
        for tracker in self._options.trackers:
            try:
                send_points(points, tracker, self._options.project, self._name)
            except UserError as error:
                problems.append(f"{str(error).rstrip('.')}; its points are kept and sent again later.")
        return problems
