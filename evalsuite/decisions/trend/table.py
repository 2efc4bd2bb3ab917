"""Formats a series of checkpoints for the terminal and as Markdown.

Public names: `trend_rows`, `verdict_rows`, `part_rows`, `trend_tables`, `trend_markdown`.
"""

from rich.table import Table

from evalsuite.decisions.trend.document import TaskTrend, Trend
from evalsuite.results.markdown import markdown_escape, markdown_list, markdown_table_lines

VERDICT_COLUMNS = (
    "task",
    "metric",
    "gain",
    "95 % interval",
    "sampling error",
    "noise",
    "signal/noise",
    "two seeds",
    "progress?",
    "why",
)
SEEDS_ALPHA = 0.05
NOISE = "noise: standard deviation of a checkpoint from the smooth curve."
TWO_SEEDS = f"two seeds: equal trainings differ by more in one direction in {SEEDS_ALPHA:.0%} of cases."
PART_COLUMNS = ("suite", "task", "gain", "noise", "share of noise", "carries")
SUITE_PARTS = "which tasks carry the suite's signal, and which its noise?"
PARTS_CAPTION = (
    "In points of the suite. noise: between seeds, else between checkpoints; its share is one of variance. "
    "signal: the gain exceeds what two equal trainings differ by."
)
_LEFT = ("task", "metric", "progress?", "why", "suite", "carries")


def score_columns(trend: Trend) -> tuple[str, ...]:
    """Task, metric, chance, and one column per step."""
    return ("task", "metric", "chance", *(str(checkpoint.step) for checkpoint in trend.checkpoints))


def trend_rows(trend: Trend) -> list[tuple[str, ...]]:
    """One row per task, average last; scores in points, each with half the width of its interval."""
    return [
        (
            task.name,
            task.metric,
            "—" if task.chance is None else _amount(task.chance, task, digits=1),
            *_scores(task, trend),
        )
        for task in _all(trend)
    ]


def verdict_rows(trend: Trend) -> list[tuple[str, ...]]:
    """One row per task: gain, noise, and whether the task detects progress."""
    return [
        (
            task.name,
            task.metric,
            _amount(task.gain, task, signed=True),
            _gain_interval(task),
            _amount(task.sampling_error, task),
            _amount(task.noise, task),
            "—" if task.signal_to_noise is None else f"{task.signal_to_noise:.1f}",
            _amount(task.seed_noise.apart(SEEDS_ALPHA) if task.seed_noise else None, task),
            task.verdict,
            task.reason,
        )
        for task in _all(trend)
    ]


def part_rows(trend: Trend) -> list[tuple[str, ...]]:
    """What each task carries in the main mean of each suite; the noisiest first."""
    rows: list[tuple[str, ...]] = []
    for place, suite in enumerate(trend.suites):
        if suite.suite in (other.suite for other in trend.suites[:place]):
            continue
        for part in sorted(suite.parts, key=lambda part: -(part.noise_share or 0.0)):
            share = "—" if part.noise_share is None else f"{part.noise_share:.1%}"
            gain = _amount(part.gain, suite.trend, signed=True)
            rows.append(
                (suite.trend.name, part.task, gain, _amount(part.noise, suite.trend), share, part.carries)
            )
    return rows


def trend_tables(trend: Trend) -> tuple[Table, ...]:
    """The tables of scores, of verdicts and, with suites, of what their tasks carry, for `cli.console`."""
    scores = Table(title="scores by step", title_justify="left")
    for column in score_columns(trend):
        scores.add_column(column, justify="left" if column in _LEFT else "right", no_wrap=True)
    for row in trend_rows(trend):
        scores.add_row(*row)
    verdicts = Table(
        title="does the task detect progress at this model size?",
        title_justify="left",
        caption_justify="left",
        caption=f"Points of 100. {NOISE} {TWO_SEEDS}",
    )
    for column in VERDICT_COLUMNS:
        verdicts.add_column(column, justify="left" if column in _LEFT else "right", no_wrap=column != "why")
    for row, task in zip(verdict_rows(trend), _all(trend), strict=True):
        verdicts.add_row(*row, style={"yes": "green", "no": "", "unknown": "dim"}[task.verdict])
    if not trend.suites:
        return scores, verdicts
    parts = Table(title=SUITE_PARTS, title_justify="left", caption_justify="left", caption=PARTS_CAPTION)
    for column in PART_COLUMNS:
        parts.add_column(column, justify="left" if column in _LEFT else "right", no_wrap=True)
    for row in part_rows(trend):
        parts.add_row(*row)
    return scores, verdicts, parts


def trend_markdown(trend: Trend) -> str:
    """Both tables with the notes in Markdown."""
    title = f"{trend.checkpoints[0].label} to {trend.checkpoints[-1].label}"
    lines = [f"# {markdown_escape(title)}", ""]
    tables = [(score_columns(trend), trend_rows(trend)), (VERDICT_COLUMNS, verdict_rows(trend))]
    if trend.suites:
        tables.append((PART_COLUMNS, part_rows(trend)))
    for columns, rows in tables:
        lines += [*markdown_table_lines(columns, _LEFT, rows), ""]
    return "\n".join([*lines, *markdown_list(trend.notes)]) + "\n"


def _all(trend: Trend) -> list[TaskTrend]:
    suites = [suite.trend for suite in trend.suites]
    return [*trend.tasks, *suites, *([trend.average] if trend.average else [])]


def _gain_interval(task: TaskTrend) -> str:
    if task.gain_low is None or task.gain_high is None:
        return "—"
    return f"{_amount(task.gain_low, task, signed=True)} to {_amount(task.gain_high, task, signed=True)}"


def _scores(task: TaskTrend, trend: Trend) -> list[str]:
    by_step = {point.step: point for point in task.points}
    cells = []
    for checkpoint in trend.checkpoints:
        point = by_step.get(checkpoint.step)
        if point is None:
            cells.append("—")
            continue
        width = (
            ""
            if point.low is None or point.high is None
            else f" ±{_amount((point.high - point.low) / 2, task, digits=1)}"
        )
        cells.append(_amount(point.value, task) + width)
    return cells


def _amount(value: float | None, task: TaskTrend, *, signed: bool = False, digits: int = 2) -> str:
    """The value in points of 100, or in the metric's own unit if lower is better."""
    if value is None:
        return "—"
    scaled, places = (value, digits + 2) if task.lower_is_better else (100 * value, digits)
    return f"{scaled:{'+' if signed else ''}.{places}f}"
