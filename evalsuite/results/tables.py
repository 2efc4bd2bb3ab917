"""The scores of a run as a table for the terminal or in Markdown."""

from rich.table import Table

from evalsuite.engine.placement import ROUNDED_SCORES
from evalsuite.results.best_form import REMARK
from evalsuite.results.markdown import markdown_escape, markdown_list, markdown_table_lines
from evalsuite.results.no_interval import suite_interval_remark, task_interval_remark
from evalsuite.results.rounding import rounding_of
from evalsuite.results.runlog import (
    Average,
    BestForm,
    Counts,
    MetricRecord,
    RunLog,
    SuiteMeanRecord,
    SuiteRecord,
    TaskRecord,
)
from evalsuite.results.smoke import smoke_warning
from evalsuite.stats.metrics import lower_is_better

COLUMNS = ("task", "shots", "metric", "score", "stderr", "95 % interval", "n", "seconds")


def table_rows(log: RunLog) -> list[tuple[str, ...]]:
    """One row per metric; a task without a score has one row with a dash."""
    rows = []
    for task in log.tasks:
        metrics: dict[str, MetricRecord | None] = dict(task.metrics) or {task.headline: None}
        for index, (name, metric) in enumerate(metrics.items()):
            first = index == 0
            rows.append((*_task_cells(task, first), name, *_metric_cells(task, name, metric, first)))
    rows += [_best_form_row(log, best) for best in log.best_forms]
    rows += [_average_row(average) for average in log.averages]
    return rows + [
        _suite_row(suite, name, mean) for suite in log.suites for name, mean in suite.means.items()
    ]


def terminal_table(log: RunLog) -> Table:
    """The table for `cli.console`."""
    table = Table(
        title=f"{log.spec.model} · {log.model.numerics}", title_justify="left", caption_justify="left"
    )
    for column in COLUMNS:
        # Folded, not truncated: on a narrow terminal, a truncated name could be that of another task.
        table.add_column(column, justify="left" if column in ("task", "metric") else "right", overflow="fold")
    for row in table_rows(log):
        table.add_row(*row)
    return table


def markdown_table(log: RunLog) -> str:
    """The same table with its notes, for `table.md`."""
    lines = [
        f"# {markdown_escape(log.spec.model)}",
        "",
        *markdown_table_lines(COLUMNS, ("task", "metric"), table_rows(log)),
        "",
        *markdown_list(remarks(log)),
        *markdown_list(
            [
                f"Model {log.model.id}, weights {log.model.weights_sha256[:12]}, {log.model.numerics}; "
                f"evalsuite {log.evalsuite_version}."
            ]
        ),
    ]
    return "\n".join(lines) + "\n"


def remarks(log: RunLog) -> list[str]:
    """Remarks that belong to the scores: problems, notes, and how well a protocol is known."""
    lines = []
    for task in log.tasks:
        remarks = [task.problem + ("" if task.metrics else "; no score")] if task.problem else []
        remarks += task.notes
        if task.source.get("status") == "inferred":
            remarks.append(f"the protocol is inferred: {task.source.get('notes', '')}")
        remarks += filter(None, [task_interval_remark(task)])
        remarks += token_remarks(task.counts)
        if at_limit := task.counts.cut - task.counts.at_window:
            remarks.append(f"{at_limit} generated texts ended at the token limit")
        if task.counts.at_window:
            remarks.append(
                f"{task.counts.at_window} generated texts ended at the context window, before their token "
                "limit"
            )
        if task.counts.near_ties:
            remarks.append(
                f"the two best choices of {task.counts.near_ties} of {task.counts.scored} documents are "
                f"closer than {rounding_of(log.model.numerics):.2g} nats{_and_a_step(log)}, the rounding of "
                "these numerics"
            )
        lines += [f"{task.name}: {line.rstrip('.')}." for line in remarks]
    if log.best_forms:
        lines.append(f"{', '.join(best.name for best in log.best_forms)}: {REMARK}.")
    failed = [smoke_warning(log.smoke)] if log.smoke and not log.smoke.passed else []
    return [*failed, *lines, *suite_remarks(log), *log.notes]


def token_remarks(counts: Counts) -> list[str]:
    """Remarks on what encoding changed in the prompts."""
    lines = []
    if counts.shots_dropped:
        lines.append(f"{counts.shots_dropped} documents have fewer shots, to fit the context window")
    if counts.shortened:
        lines.append(
            f"the beginning of {counts.shortened} prompts was cut, to leave space for the answer in the "
            "context window"
        )
    if counts.fewer_shots:
        lines.append(
            f"{counts.fewer_shots} documents have fewer shots, since they are among the shots themselves"
        )
    if counts.among_shots:
        lines.append(
            f"the prompts of {counts.among_shots} of {counts.documents} documents contain the document "
            "itself, with its answer, among the shots"
        )
    spans = "a token spans the end of the prompt and the beginning of the scored text"
    if counts.realigned:
        lines.append(
            f"in {counts.realigned} of {counts.documents} documents {spans}; all choices are scored from the "
            "last token boundary that they share"
        )
    if sliced := counts.joined - counts.realigned:
        lines.append(
            f"in {sliced} of {counts.documents} documents {spans}; they are sliced as in lm-eval, so that "
            "the scored texts differ slightly from the choices"
        )
    if counts.scored_bos:
        lines.append(
            f"the BOS token is among the scored tokens of {counts.scored_bos} of {counts.documents} texts, "
            "as in lm-eval, which makes short texts look worse"
        )
    if counts.altered:
        lines.append(
            f"the tokens of {counts.altered} of {counts.documents} texts decode to another text: the "
            "tokenizer drops or changes characters, or takes some for a special token; bits per byte divides "
            "by all bytes of the text"
        )
    return lines


def suite_remarks(log: RunLog) -> list[str]:
    """Why a suite has no value or no interval, and what its value does not cover."""
    lines, tasks = [], {task.name: task for task in log.tasks}
    for suite in log.suites:
        for name, mean in suite.means.items():
            if mean.problem:
                reason = mean.problem if mean.score else f"no value, since {mean.problem}"
                lines.append(f"{suite.label(name)}: {reason}.")
            if remark := suite_interval_remark(mean, tasks):
                lines.append(f"{suite.label(name)}: {remark}.")
        subset = log.spec.limit or log.spec.sample
        if suite.means and subset:
            which = "the first" if log.spec.limit else "a random sample of"
            lines.append(f"{suite.name}: over {which} {subset} documents of each task with as many.")
    return lines


def _and_a_step(log: RunLog) -> str:
    rounded = ROUNDED_SCORES in log.model.numerics.split()
    return " and a rounding step of their data type" if rounded else ""


def best_form_metric(log: RunLog, best: BestForm) -> str:
    """The metric and form that gave the score."""
    task = log.task(best.chosen)
    return f"{best.metric}, better form: {task.variant or task.format}"


def _best_form_row(log: RunLog, best: BestForm) -> tuple[str, ...]:
    task = log.task(best.chosen)
    *cells, _ = _metric_cells(task, best.metric, best.score, first=False)
    return (best.name, str(task.shots), best_form_metric(log, best), *cells, "")


def _average_row(average: Average) -> tuple[str, ...]:
    metric = f"{average.metric}, mean of {len(average.tasks)} tasks"
    return (f"{average.recipe} average", "", metric, *score_cells(average.metric, average.score), "", "")


def _suite_row(suite: SuiteRecord, name: str, mean: SuiteMeanRecord) -> tuple[str, ...]:
    metric = f"{mean.metric}, mean of {len(mean.terms)} tasks"
    cells = score_cells(mean.metric, mean.score) if mean.score else ("—", "—", "—")
    return (suite.label(name), "", metric, *cells, "", "")


def _task_cells(task: TaskRecord, first: bool) -> tuple[str, str]:
    return (task.name, str(task.shots)) if first else ("", "")


def _metric_cells(task: TaskRecord, name: str, metric: MetricRecord | None, first: bool) -> tuple[str, ...]:
    seconds = f"{task.seconds:.1f}" if first else ""
    scored = task.counts.scored if metric is None else metric.n
    documents = f"{scored}/{task.counts.documents}" if task.problem else str(scored)
    if metric is None:
        return ("—", "—", "—", documents, seconds)
    return (*score_cells(name, metric), documents, seconds)


def score_cells(name: str, metric: MetricRecord) -> tuple[str, str, str]:
    """Score, standard error and interval in points of 100, or in the metric's own unit if lower is better."""
    scale, more = (1, 2) if lower_is_better(name) else (100, 0)
    stderr = "—" if metric.stderr is None else f"{scale * metric.stderr:.{2 + more}f}"
    interval = (
        "—"
        if metric.low is None or metric.high is None
        else f"{scale * metric.low:.{1 + more}f} to {scale * metric.high:.{1 + more}f}"
    )
    return (f"{scale * metric.value:.{2 + more}f}", stderr, interval)
