"""The scores of a run as a table: for the terminal and as Markdown."""

from rich.table import Table

from evalsuite.engine.placement import ROUNDED_SCORES
from evalsuite.results.best_form import REMARK
from evalsuite.results.markdown import markdown_escape, markdown_list, markdown_table_lines
from evalsuite.results.rounding import rounding_of
from evalsuite.results.runlog import Average, BestForm, Counts, MetricRecord, RunLog, TaskRecord
from evalsuite.stats.metrics import lower_is_better

COLUMNS = ("task", "shots", "metric", "score", "stderr", "95 % interval", "n", "seconds")


def table_rows(log: RunLog) -> list[tuple[str, ...]]:
    """One row per metric; a task without a score has one row with a dash."""
    rows = []
    for task in log.tasks:
        metrics: dict[str, MetricRecord | None] = dict(task.metrics) or {task.headline: None}
        for place, (name, metric) in enumerate(metrics.items()):
            first = place == 0
            rows.append((*_task_cells(task, first), name, *_metric_cells(task, name, metric, first)))
    rows += [_best_form_row(log, best) for best in log.best_forms]
    return rows + [_average_row(average) for average in log.averages]


def terminal_table(log: RunLog) -> Table:
    """For `cli.console`."""
    table = Table(
        title=f"{log.spec.model} · {log.model.numerics}", title_justify="left", caption_justify="left"
    )
    for column in COLUMNS:
        # Folded, never cut: on a narrow terminal half a task's name would name another task.
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
    """What must stand beside the scores: problems, notes, and how well a protocol is known."""
    lines = []
    for task in log.tasks:
        told = [task.problem + ("" if task.metrics else "; no score")] if task.problem else []
        told += task.notes
        if task.source.get("status") == "inferred":
            told.append(f"the protocol is inferred: {task.source.get('notes', '')}")
        told += token_remarks(task.counts)
        if at_limit := task.counts.cut - task.counts.at_window:
            told.append(f"{at_limit} generated texts ended at the token limit")
        if task.counts.at_window:
            told.append(
                f"{task.counts.at_window} generated texts ended at the end of the context window, before their limit"
            )
        if task.counts.near_ties:
            told.append(
                f"the two best choices of {task.counts.near_ties} of {task.counts.scored} documents are closer than "
                f"{rounding_of(log.model.numerics):.2g} nats{_and_a_step(log)}, the rounding of these numerics"
            )
        lines += [f"{task.name}: {line.rstrip('.')}." for line in told]
    if log.best_forms:
        lines.append(f"{', '.join(best.name for best in log.best_forms)}: {REMARK}.")
    return lines + list(log.notes)


def token_remarks(counts: Counts) -> list[str]:
    """What happened to prompts on their way to tokens."""
    told = []
    if counts.shots_dropped:
        told.append(f"shots were dropped for {counts.shots_dropped} documents to fit the context window")
    if counts.shortened:
        told.append(
            f"{counts.shortened} prompts lost their beginning, to leave room for the answer in the context window"
        )
    if counts.fewer_shots:
        told.append(f"{counts.fewer_shots} documents, which are among the shots, were shown fewer of them")
    if counts.among_shots:
        told.append(
            f"{counts.among_shots} of {counts.documents} documents were shown themselves, with their answer, among their "
            "shots"
        )
    spans = "a token spans the end of the prompt and the beginning of the scored text"
    if counts.realigned:
        told.append(
            f"in {counts.realigned} of {counts.documents} documents {spans}; there all choices are scored from the last "
            "token boundary that they share"
        )
    if sliced := counts.joined - counts.realigned:
        told.append(
            f"in {sliced} of {counts.documents} documents {spans}; they are sliced as lm-eval does, so that the scored "
            "texts are not quite those of the choices"
        )
    if counts.scored_bos:
        told.append(
            f"the BOS token is among the scored tokens of {counts.scored_bos} of {counts.documents} texts, as in lm-eval, which makes short "
            "texts look worse"
        )
    return told


def _and_a_step(log: RunLog) -> str:
    rounded = ROUNDED_SCORES in log.model.numerics.split()
    return " and a step of their data type" if rounded else ""


def best_form_metric(log: RunLog, best: BestForm) -> str:
    """Which form and metric gave the score."""
    task = log.task(best.chosen)
    return f"{best.metric}, better form: {task.variant or task.format}"


def _best_form_row(log: RunLog, best: BestForm) -> tuple[str, ...]:
    task = log.task(best.chosen)
    *cells, _ = _metric_cells(task, best.metric, best.score, first=False)
    return (best.name, str(task.shots), best_form_metric(log, best), *cells, "")


def _average_row(average: Average) -> tuple[str, ...]:
    metric = f"{average.metric}, mean of {len(average.tasks)} tasks"
    return (f"{average.recipe} average", "", metric, *score_cells(average.metric, average.score), "", "")


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
    """Score, standard error and interval in points of 100, or in the unit of a metric that counts loss."""
    scale, more = (1, 2) if lower_is_better(name) else (100, 0)
    stderr = "—" if metric.stderr is None else f"{scale * metric.stderr:.{2 + more}f}"
    interval = (
        "—"
        if metric.low is None or metric.high is None
        else f"{scale * metric.low:.{1 + more}f} to {scale * metric.high:.{1 + more}f}"
    )
    return (f"{scale * metric.value:.{2 + more}f}", stderr, interval)
