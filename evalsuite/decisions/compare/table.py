"""Formats a comparison for the terminal.

Public names: `comparison_table`, `flip_lines`, `remark_lines`, `amount`, `interval_text`.
"""

from rich.table import Table

from evalsuite.decisions.compare.document import (
    Comparison,
    MetricComparison,
    PairComparison,
    SuiteComparison,
    TaskComparison,
)
from evalsuite.stats.metrics import nats_line, nats_of

COLUMNS = (
    "task",
    "metric",
    "n",
    "baseline",
    "candidate",
    "delta",
    "95 % interval",
    "p",
    "p (Holm)",
    "verdict",
    "detectable",
    "lost",
    "gained",
)


def comparison_table(comparison: Comparison, pair: PairComparison) -> Table:
    """The table of one pair; scores in points, p adjusted over the tasks' headline metrics."""
    table = Table(
        title=f"{pair.candidate.label} against {comparison.baseline.label}",
        title_justify="left",
        caption_justify="left",
        caption="detectable: smallest true difference found with 80 % power. lost, gained: documents.",
    )
    for column in COLUMNS:
        table.add_column(
            column, justify="left" if column in ("task", "metric", "verdict") else "right", no_wrap=True
        )
    for task in pair.tasks:
        for row in _rows(task):
            table.add_row(*row)
    for suite in pair.suites:
        table.add_row(*_suite_row(suite))
    return table


def remark_lines(pair: PairComparison) -> list[str]:
    """Remarks that belong to the deltas."""
    lines = [nats_line(task.name, name) for task in pair.tasks for name in task.metrics if nats_of(name)]
    lines += [difference.text for difference in pair.differences]
    lines += [f"{task.name}: {task.problem}." for task in pair.tasks if task.problem]
    lines += [f"{suite.name}: {suite.problem}." for suite in pair.suites if suite.problem]
    for names, run in ((pair.only_in_baseline, "baseline"), (pair.only_in_candidate, "candidate")):
        if names:
            lines.append(f"Only in the {run}: {', '.join(names)}.")
    return lines


def flip_lines(task: TaskComparison, most: int) -> list[str]:
    """Up to `most` documents of the headline metric in each direction."""
    metric = task.metrics.get(task.headline)
    if metric is None:
        return []
    lines = []
    bits = {text.doc: text for text in task.texts}
    for name, flips in (
        ("lost", metric.flips[: metric.lost]),
        ("gained", metric.flips[metric.lost :]),
    ):
        for flip in flips[:most]:
            document = f"document {flip.doc}" + (f" ({flip.subtask})" if flip.subtask else "")
            text = bits.get(flip.doc)
            more = "" if text is None else f"  {text.difference:+,.1f} bits in {text.bytes:,} bytes"
            lines.append(f"{task.name} {name}: {document}  key {flip.key[:16]}{more}")
        if len(flips) > most:
            lines.append(f"{task.name} {name}: {len(flips) - most} more")
    return lines


def amount(
    value: float | None, metric: MetricComparison | SuiteComparison, *, signed: bool = False, digits: int = 2
) -> str:
    """A score or delta as text, in points of 100, or in the metric's own unit if lower is better."""
    if value is None:
        return "—"
    scaled, places = (value, digits + 2) if metric.lower_is_better else (100 * value, digits)
    return f"{scaled:{'+' if signed else ''}.{places}f}"


def interval_text(metric: MetricComparison | SuiteComparison) -> str:
    """The paired interval of a delta."""
    if metric.low is None or metric.high is None:
        return "—"
    return f"{amount(metric.low, metric, signed=True)} to {amount(metric.high, metric, signed=True)}"


def _suite_row(suite: SuiteComparison) -> tuple[str, ...]:
    return (
        suite.name,
        f"{suite.metric}, mean of {suite.tasks} tasks",
        "",
        amount(suite.baseline, suite),
        amount(suite.candidate, suite),
        amount(suite.delta, suite, signed=True),
        interval_text(suite),
        "",
        "",
        "" if suite.problem else suite.verdict,
        *("",) * 3,
    )


def _rows(task: TaskComparison) -> list[tuple[str, ...]]:
    if not task.metrics:
        return [(task.name, task.headline, "0", *("—",) * (len(COLUMNS) - 3))]
    return [
        (
            task.name if index == 0 else "",
            name,
            str(metric.n),
            amount(metric.baseline, metric),
            amount(metric.candidate, metric),
            amount(metric.delta, metric, signed=True),
            interval_text(metric),
            f"{metric.p:.3g}",
            "" if metric.p_holm is None else f"{metric.p_holm:.3g}",
            metric.verdict,
            amount(metric.mde, metric),
            str(metric.lost),
            str(metric.gained),
        )
        for index, (name, metric) in enumerate(task.metrics.items())
    ]
