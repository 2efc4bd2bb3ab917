"""A gate's verdict for the terminal.

Public names: `gate_table`, `gate_lines`.
"""

from rich.table import Table

from evalsuite.decisions.gate.document import GateReport
from evalsuite.decisions.gate.reasons import points

COLUMNS = ("task", "tier", "baseline", "candidate", "damage", "bounds", "margin", "n", "outcome")


def gate_table(report: GateReport) -> Table:
    """One row per task and one for the mean; damage is how much worse the candidate is, in points."""
    confidence = 1 - 2 * report.policy.alpha
    table = Table(
        title=f"{report.candidate.label} against {report.baseline.label}",
        title_justify="left",
        caption_justify="left",
        caption=f"bounds: {confidence:.0%} interval of the damage, each end at {1 - report.policy.alpha:.0%}.",
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
    if report.pooled is not None:
        one = report.pooled
        bounds = _bounds(one.low, one.high, "")
        table.add_row(
            "mean", "", "", "", points(one.damage, signed=True), bounds, points(one.margin), "", one.outcome
        )
    return table


def gate_lines(report: GateReport) -> list[str]:
    """Reasons of what did not pass, differences between the runs, and what the gate can tell."""
    lines = [f"{task.name}: {task.reason}" for task in report.tasks if task.outcome != "PASS"]
    if report.pooled is not None and report.pooled.outcome != "PASS":
        lines.append(f"mean: {report.pooled.reason}")
    lines += [difference.text for difference in report.differences]
    lines.append(
        f"A candidate without any change passes this gate with about {report.pass_chance:.0%}; one whose damage "
        f"is a whole margin passes that task with {report.policy.alpha:.0%} at most."
    )
    return lines


def _bounds(low: float | None, high: float | None, metric: str) -> str:
    if low is None or high is None:
        return "—"
    return f"{points(low, metric, signed=True)} to {points(high, metric, signed=True)}"
