"""Renders all requested files, then writes them, so that malformed input writes nothing.

Public names: `report`.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from evalsuite.errors import StorageError, UserError
from evalsuite.report.export import csv_text, latex_text
from evalsuite.report.page import render_report
from evalsuite.report.source import RunSource, open_source
from evalsuite.report.trackers import RunPoint, check_tracker, send_points, send_to_tracker
from evalsuite.results.folder import disk_errors
from evalsuite.results.steps import step_of


def report(
    *runs: str | Path,
    html: str | Path | None = None,
    latex: str | Path | None = None,
    csv: str | Path | None = None,
    card: str | None = None,
    card_model: str | None = None,
    allow_protocol_drift: bool = False,
    log: Sequence[str] = (),
    project: str = "evalsuite",
    tracker_run: str | None = None,
    step: int | None = None,
) -> list[Path]:
    """Write a report on runs; the others are compared with the first.

    Args:
        runs: run folders or `run.json` files.
        html: file of the self-contained page; `report.html` in the first run's folder if no output is named.
        latex: file of the score table as LaTeX.
        csv: file of the score table as CSV with all digits.
        card: name of a card of published numbers to compare the first run with.
        card_model: model of the card, needed if the card has several.
        allow_protocol_drift: compare even if prompt specs differ.
        log: experiment trackers to send the scores to: `wandb`, `mlflow`, `trackio`, `tensorboard`.
        project: the trackers' project or experiment (TensorBoard: log directory).
        tracker_run: the trackers' run of a training, to which each run is added as a point; None for a run of
            its own.
        step: the training step of the only run; by default that in the name of each run.

    Returns:
        The written files.

    Raises:
        UserError: a run cannot be read or compared, the card is unknown, a file cannot be written, or a
            tracker rejects the run.
    """
    if not runs:
        raise UserError("Give a run to report on: evalsuite report RUN --html FILE.")
    sources = open_source([Path(run) for run in runs])
    if card and not html and (latex or csv or log):
        raise UserError("--card is shown on the page; give the page's file with --html.")
    if not (html or latex or csv or log):
        html = sources[0].side.folder / "report.html"
    for tracker in log:
        check_tracker(tracker)
    points = _points(sources, tracker_run, step) if log else []
    logs = [(source.label, source.log) for source in sources]
    texts = {}
    if html:
        texts[Path(html)] = render_report(
            sources, card=card, card_model=card_model, allow_protocol_drift=allow_protocol_drift
        )
    if latex:
        texts[Path(latex)] = latex_text(logs)
    if csv:
        texts[Path(csv)] = csv_text(logs)
    if len(texts) < sum(1 for path in (html, latex, csv) if path):
        raise UserError("--html, --latex and --csv must be different files.")
    _write(texts)
    for tracker in log:
        if tracker_run:
            send_points(points, tracker, project, tracker_run)
        for source in () if tracker_run else sources:
            send_to_tracker(source.log, tracker, project, source.label)
    return list(texts)


def _points(sources: Sequence[RunSource], tracker_run: str | None, step: int | None) -> list[RunPoint]:
    """The runs as points of a curve; none without `tracker_run`."""
    if step is not None and not tracker_run:
        raise UserError("--step is the point of a curve; name the tracker's run of it with --tracker-run.")
    if not tracker_run:
        return []
    if step is not None and len(sources) > 1:
        raise UserError(f"--step is the step of one run, and {len(sources)} are given.")
    points = []
    for source in sources:
        found = step if step is not None else step_of(source.side)
        if found is None:
            raise UserError(f"The name of {source.side.path} has no training step; give it with --step.")
        points.append(RunPoint(source.side.folder, source.log, found))
    return points


def _write(texts: dict[Path, str]) -> None:
    for path in texts:
        if path.is_dir():
            raise StorageError(f"{path} is a folder; give a file.")
        if not path.parent.is_dir():
            raise StorageError(f"{path} cannot be written: the folder {path.parent} does not exist.")
    for path, text in texts.items():
        with disk_errors(path):
            unfinished = path.with_name(f".{path.name}.unfinished")
            unfinished.write_text(text, encoding="utf-8", errors="replace", newline="\n")
            os.replace(unfinished, path)
