"""Formats a gate's verdict for the terminal.

Public names: `gate_table`, `gate_lines`.
"""

from rich.table import Table

from evalsuite.decisions.gate.document import GateReport, SuiteVerdict, TaskVerdict
from evalsuite.decisions.gate.reasons import points
from evalsuite.stats.metrics import nats_line, nats_of

COLUMNS = ("task", "tier", "baseline", "candidate", "damage", "bounds", "margin", "n", "outcome")


def gate_table(report: GateReport) -> Table:
    """One row per task and one for the mean; damage is how much worse the candidate is, in points."""
    alpha = report.policy.alpha
    table = Table(
        title=f"{report.candidate.label} against {report.baseline.label}",
        title_justify="left",
        caption_justify="left",
        caption=f"bounds: {1 - 2 * alpha:.0%} interval of the damage, each end at {1 - alpha:.0%}.",
    )
    for column in COLUMNS:
        table.add_column(
            column, justify="left" if column in ("task", "tier", "outcome") else "right", no_wrap=True
        )
    for task in report.tasks:
        table.add_row(
            task.name,
            task.tier,
            points(task.baseline, task.metric),
            points(task.candidate, task.metric),
            points(task.damage, task.metric, signed=True),
            _bounds(task.low, task.high, task.metric),
            points(task.margin, task.metric),
            str(task.documents),
            task.outcome,
        )
    for suite in report.suites:
        table.add_row(
            suite.name,
            suite.tier,
            "",
            "",
            points(suite.damage, suite.metric, signed=True),
            _bounds(suite.low, suite.high, suite.metric),
            points(suite.margin, suite.metric),
            "",
            suite.outcome,
        )
    if report.pooled is not None:
        mean = report.pooled
        damage, bounds = points(mean.damage, signed=True), _bounds(mean.low, mean.high, "")
        table.add_row("mean", "", "", "", damage, bounds, points(mean.margin), "", mean.outcome)
    return table


def gate_lines(report: GateReport) -> list[str]:
    """Reasons of outcomes other than PASS, differences between the runs, and the gate's error rates."""
    judged: tuple[TaskVerdict | SuiteVerdict, ...] = (*report.tasks, *report.suites)
    lines = [f"{one.name}: {one.reason}" for one in judged if one.outcome != "PASS"]
    if report.pooled is not None and report.pooled.outcome != "PASS":
        lines.append(f"mean: {report.pooled.reason}")
    lines += [nats_line(task.name, task.metric) for task in report.tasks if nats_of(task.metric)]
    lines += [difference.text for difference in report.differences]
    lines += report.within_noise
    lines.append(
        f"An unchanged candidate passes this gate with a probability of about {report.pass_chance:.0%}. A "
        f"candidate whose damage equals the margin passes that task with at most {report.policy.alpha:.0%}."
    )
    return lines


def _bounds(low: float | None, high: float | None, metric: str) -> str:
    if low is None or high is None:
        return "—"
    return f"{points(low, metric, signed=True)} to {points(high, metric, signed=True)}"
