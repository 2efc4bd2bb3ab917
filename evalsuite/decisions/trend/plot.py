"""Plots a trend with matplotlib, an optional extra (`plot`) that is imported only when needed.

Public names: `plot_trend`, `check_plot`.
"""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evalsuite.decisions.trend.document import TaskTrend, Trend
from evalsuite.errors import UserError
from evalsuite.results.folder import disk_errors

IMAGE_SUFFIXES = (".svg", ".png", ".pdf")
_WIDTH, _HEIGHT = 3.3, 2.5
"""Size of one panel in inches."""
_COLORS = {"yes": "#1a7f37", "no": "#57606a", "unknown": "#8250df"}


def check_plot(path: Path) -> None:
    """Raises UserError if a plot cannot be written to `path`; call it before any computation."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise UserError(
            f"--plot {path}: the suffix sets the format and must be one of {', '.join(IMAGE_SUFFIXES)}."
        )
    if not path.absolute().parent.is_dir():
        raise UserError(f"--plot {path}: the folder {path.parent} does not exist.")
    if find_spec("matplotlib") is None:
        raise UserError("Plots need matplotlib: pip install 'evalsuite[plot]'.")


def plot_trend(trend: Trend, path: Path) -> None:
    """Draw one panel per task, average first: score over steps, its 95 % band, and chance as a dashed line.

    Raises:
        UserError: matplotlib is missing, or the file cannot be written.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    panels = [*([trend.average] if trend.average else []), *trend.tasks]
    columns = min(4, max(2, math.ceil(math.sqrt(len(panels)))))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(_WIDTH * columns, _HEIGHT * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    cells = [axes for line in grid for axes in line]
    for axes, task in zip(cells, panels, strict=False):
        _panel(axes, task)
    for axes in cells[len(panels) :]:
        axes.set_visible(False)
    unit = "number in the series" if trend.step_source == "order" else "training step"
    figure.supxlabel(unit, fontsize=9)
    if not any(task.lower_is_better for task in panels):
        figure.supylabel("score, points of 100", fontsize=9)
    with disk_errors(path):
        # No date and a fixed salt, so that equal input gives an equal file.
        from matplotlib import rc_context

        with rc_context({"svg.hashsalt": "evalsuite", "svg.fonttype": "none"}):
            metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
            figure.savefig(path, dpi=150, metadata=metadata)


def _panel(axes: Any, task: TaskTrend) -> None:
    scale = 1.0 if task.lower_is_better else 100.0
    color = _COLORS[task.verdict]
    steps = [point.step for point in task.points]
    values = [scale * point.value for point in task.points]
    banded = [point for point in task.points if point.low is not None and point.high is not None]
    axes.fill_between(
        [point.step for point in banded],
        [scale * (point.low or 0.0) for point in banded],
        [scale * (point.high or 0.0) for point in banded],
        color=color,
        alpha=0.18,
        linewidth=0,
    )
    axes.plot(steps, values, color=color, marker="o", markersize=3, linewidth=1.4)
    if task.chance is not None and not task.lower_is_better:
        axes.axhline(scale * task.chance, color="#57606a", linewidth=0.9, linestyle="--")
    title = "chance-centred average" if task.metric == "centred" else f"{task.name} · {task.metric}"
    axes.set_title(title, fontsize=9, loc="left")
    ratio = "" if task.signal_to_noise is None else f", signal/noise {task.signal_to_noise:.1f}"
    axes.text(
        0.02,
        0.97,
        f"progress: {task.verdict}{ratio}",
        transform=axes.transAxes,
        fontsize=7,
        va="top",
        color=color,
    )
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.15 * (high - low))  # space for the verdict
    axes.tick_params(labelsize=7)
    axes.locator_params(axis="x", nbins=5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
