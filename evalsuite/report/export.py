"""Exports the score table as CSV with all digits and as LaTeX.

Public names: `csv_text`, `latex_text`, `latex_escape`.
"""

import csv
import io
from collections.abc import Iterator, Sequence

from evalsuite.results.runlog import MetricRecord, RunLog, SuiteMeanRecord, SuiteRecord, TaskRecord
from evalsuite.stats.metrics import lower_is_better
from evalsuite.visible import visible

COLUMNS = (
    "model",
    "task",
    "address",
    "shots",
    "metric",
    "value",
    "stderr",
    "low",
    "high",
    "n",
    "documents",
    "failed",
    "too_long",
    "cut",
    "weights_sha256",
    "prompt_sha256",
    "numerics",
    "problem",
)

_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""First characters of spreadsheet formulas, including full-width ones."""

_LATEX = {
    "[": "{[}",
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def csv_text(runs: Sequence[tuple[str, RunLog]]) -> str:
    """One row per run, task and metric, then per suite and mean, scores as fractions.

    A task or mean without a score has an empty value. For a suite, `prompt_sha256` is that of the suite.

    Args:
        runs: name and log of each run.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, log in runs:
        for task in log.tasks:
            for metric, record in _metrics(task).items():
                writer.writerow(map(_csv_cell, _csv_row(name, log, task, metric, record)))
        for suite in log.suites:
            for label, mean in suite.means.items():
                writer.writerow(map(_csv_cell, _csv_suite_row(name, log, suite, label, mean)))
    return text.getvalue()


def latex_text(runs: Sequence[tuple[str, RunLog]]) -> str:
    """A `booktabs` table: one row per task and metric, one column per run, in points with the 95 % interval.

    Args:
        runs: name and log of each run.
    """
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{tabular}{ll" + "r" * len(runs) + "}",
        r"\toprule",
        " & ".join(["Task", "Metric", *(latex_escape(name) for name, _ in runs)]) + r" \\",
        r"\midrule",
        *(_latex_row(runs, task, metric, first) for task, metric, first in _table_rows(runs)),
        *_latex_suites(runs),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def latex_escape(text: str) -> str:
    """The text on one line, escaped for LaTeX."""
    return "".join(_LATEX.get(character, character) for character in visible(" ".join(text.split())))


def _csv_cell(value: object) -> object:
    """The value; an apostrophe precedes a text that a spreadsheet would compute (OWASP, CSV injection)."""
    if not isinstance(value, str):
        return value
    text = visible(value, keep="\n")
    return f"'{text}" if text.lstrip()[:1] in _FORMULA else text


def _csv_row(
    name: str, log: RunLog, task: TaskRecord, metric: str, record: MetricRecord | None
) -> list[object]:
    numbers = (
        (None,) * 5 if record is None else (record.value, record.stderr, record.low, record.high, record.n)
    )
    counts = task.counts
    return [
        name,
        task.name,
        task.address,
        task.shots,
        metric,
        *numbers,
        counts.documents,
        counts.failed,
        counts.too_long,
        counts.cut,
        log.model.weights_sha256,
        task.prompt_sha256,
        log.model.numerics,
        task.problem,
    ]


def _csv_suite_row(
    name: str, log: RunLog, suite: SuiteRecord, label: str, mean: SuiteMeanRecord
) -> list[object]:
    score = mean.score
    numbers = (None,) * 5 if score is None else (score.value, score.stderr, score.low, score.high, score.n)
    return [
        name,
        suite.label(label),
        suite.name,
        None,
        mean.metric,
        *numbers,
        *(None,) * 4,
        log.model.weights_sha256,
        suite.sha256,
        log.model.numerics,
        mean.problem,
    ]


def _latex_suites(runs: Sequence[tuple[str, RunLog]]) -> Iterator[str]:
    """One row per suite and mean."""
    means = [
        {suite.label(name): mean for suite in log.suites for name, mean in suite.means.items()}
        for _, log in runs
    ]
    for label, metric in {label: mean.metric for found in means for label, mean in found.items()}.items():
        scores = [found[label].score if label in found else None for found in means]
        cells = [latex_escape(label), latex_escape(metric), *(_latex_cell(one, metric) for one in scores)]
        yield " & ".join(cells) + r" \\"


def _table_rows(runs: Sequence[tuple[str, RunLog]]) -> list[tuple[TaskRecord, str, bool]]:
    """Task, metric, and whether it is the task's first row, over all runs in order of appearance."""
    tasks: dict[str, tuple[TaskRecord, dict[str, None]]] = {}
    for _, log in runs:
        for task in log.tasks:
            _, metrics = tasks.setdefault(task.name, (task, {}))
            metrics.update(dict.fromkeys(_metrics(task)))
    return [
        (task, metric, index == 0) for task, metrics in tasks.values() for index, metric in enumerate(metrics)
    ]


def _latex_row(runs: Sequence[tuple[str, RunLog]], task: TaskRecord, metric: str, first: bool) -> str:
    shots = f" ({task.shots}-shot)" if task.shots else ""
    cells = [latex_escape(task.name + shots) if first else "", latex_escape(metric)]
    for _, log in runs:
        own = next((record for record in log.tasks if record.name == task.name), None)
        cells.append(_latex_cell(own.metrics.get(metric) if own else None, metric))
    return " & ".join(cells) + r" \\"


def _latex_cell(record: MetricRecord | None, metric: str) -> str:
    if record is None:
        return "---"
    scale, digits = (1, 4) if lower_is_better(metric) else (100, 1)
    value = f"{scale * record.value:.{digits}f}"
    if record.low is None or record.high is None:
        return value
    return rf"{value} {{\scriptsize [{scale * record.low:.{digits}f}, {scale * record.high:.{digits}f}]}}"


def _metrics(task: TaskRecord) -> dict[str, MetricRecord | None]:
    return dict(task.metrics) or {task.headline: None}
