"""A series' trend as a page: a curve per task with its 95 % band, and the tables of `evalsuite trend`.

The page holds everything, fetches nothing, and is replaced as a whole after each checkpoint.
"""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

from evalsuite.decisions.trend.document import Point, TaskTrend, Trend
from evalsuite.decisions.trend.table import (
    PART_COLUMNS,
    PARTS_CAPTION,
    SUITE_PARTS,
    TWO_SEEDS,
    VERDICT_COLUMNS,
    part_rows,
    score_columns,
    trend_rows,
    verdict_rows,
)
from evalsuite.files.replace import replace_text
from evalsuite.results.folder import disk_errors
from evalsuite.visible import visible

Scale = Callable[[float], float]
"""From a step or a score to a pixel."""

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 26, 28
"""Margins of a panel in pixels, for its labels."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What the page may load: nothing but its own style."""
STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 24px; color: #1f2328; background: #fff; }
.panels { display: flex; flex-wrap: wrap; gap: 12px; }
svg { border: 1px solid #d1d9e0; border-radius: 6px; background: #fff; }
svg text { font-size: 11px; fill: #59636e; }
svg .name { font-size: 12px; font-weight: 600; fill: #1f2328; }
.band { fill: #0969da; opacity: .15; }
.curve { fill: none; stroke: #0969da; stroke-width: 1.6; }
.point { fill: #0969da; }
.chance { stroke: #8c959f; stroke-dasharray: 4 3; }
.axis { stroke: #d1d9e0; }
table { border-collapse: collapse; margin: 12px 0 24px; }
th, td { border-bottom: 1px solid #d1d9e0; padding: 3px 10px; text-align: right; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2), td:last-child { text-align: left; }
"""


def write_trend(trend: Trend, folder: Path) -> None:
    """Replace `trend.json` and `trend.html`; raises StorageError if they cannot be written."""
    with disk_errors(folder):
        replace_text(folder / "trend.json", trend.model_dump_json(indent=2) + "\n")
        replace_text(folder / "trend.html", trend_page(trend))


def trend_page(trend: Trend) -> str:
    """The page as HTML."""
    suites = [suite.trend for suite in trend.suites]
    tasks = [*suites, *([trend.average] if trend.average else []), *trend.tasks]
    title = f"{trend.checkpoints[0].label} to {trend.checkpoints[-1].label}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{_text(title)}</h1>",
        f"<p>{len(trend.checkpoints)} checkpoints; bands are 95 % intervals of each score alone.</p>",
        '<div class="panels">',
        *(_panel(task) for task in tasks),
        "</div>",
        "<h2>Scores by step</h2>",
        _table(score_columns(trend), trend_rows(trend)),
        "<h2>Does the task detect progress at this model size?</h2>",
        _table(VERDICT_COLUMNS, verdict_rows(trend)),
        f"<p>{_text(TWO_SEEDS)}</p>",
        *_parts_of(trend),
        *(f"<p>{_text(note)}</p>" for note in trend.notes),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _parts_of(trend: Trend) -> Iterable[str]:
    """Which tasks carry a suite's signal and noise."""
    if not trend.suites:
        return ()
    return (
        f"<h2>{_text(SUITE_PARTS.capitalize())}</h2>",
        _table(PART_COLUMNS, part_rows(trend)),
        f"<p>{_text(PARTS_CAPTION)}</p>",
    )


def _panel(task: TaskTrend) -> str:
    """One task's curve."""
    if not task.points:
        return ""
    points = sorted(task.points, key=lambda point: point.step)
    steps = [point.step for point in points]
    values = [
        value for point in points for value in (point.value, point.low, point.high) if value is not None
    ]
    values += [task.chance] if task.chance is not None else []
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    low, high = low - 0.05 * span, high + 0.05 * span

    def x(step: float) -> float:
        share = (step - steps[0]) / (steps[-1] - steps[0]) if steps[-1] > steps[0] else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    curve = _corners((x(point.step), y(point.value)) for point in points)
    dots = "".join(
        f'<circle class="point" cx="{x(point.step):.1f}" cy="{y(point.value):.1f}" r="2.6">'
        f"<title>step {point.step}: {_number(point.value, task)}</title></circle>"
        for point in points
    )
    chance = ""
    if task.chance is not None:
        at = f"{y(task.chance):.1f}"
        chance = f'<line class="chance" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>'
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{_text(task.name)}">'
        f'<text class="name" x="{LEFT}" y="16">{_text(task.name)} {_text(task.metric)}</text>'
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text x="4" y="{y(high) + 10:.1f}">{_number(high, task)}</text>'
        f'<text x="4" y="{y(low):.1f}">{_number(low, task)}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 8}">{steps[0]:,}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{steps[-1]:,}</text>'
        f"{_band(points, x, y)}{chance}"
        f'<polyline class="curve" points="{curve}"/>{dots}</svg>'
    )


def _band(points: Sequence[Point], x: Scale, y: Scale) -> str:
    """The area between the intervals' ends, over the points that have them."""
    ends = [(p.step, p.low, p.high) for p in points if p.low is not None and p.high is not None]
    if len(ends) < 2:
        return ""
    upper = [(x(step), y(high)) for step, _, high in ends]
    lower = [(x(step), y(low)) for step, low, _ in reversed(ends)]
    return f'<polygon class="band" points="{_corners([*upper, *lower])}"/>'


def _corners(corners: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{across:.1f},{down:.1f}" for across, down in corners)


def _number(value: float, task: TaskTrend) -> str:
    return f"{value:.3f}" if task.lower_is_better else f"{100 * value:.1f}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _text(text: str) -> str:
    return escape(visible(text))
