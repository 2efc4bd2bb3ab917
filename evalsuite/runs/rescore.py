"""Scores a finished run again from the answers that its folder holds, without a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from evalsuite.errors import StorageError
from evalsuite.progress import Progress, Silent, verdicts_of
from evalsuite.prompting.suites import Suite
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import PreparedTask, Selected, refuse_unsafe_code
from evalsuite.requests.prepare import prepare
from evalsuite.results.aggregate import task_record
from evalsuite.results.averages import averages
from evalsuite.results.best_form import best_forms
from evalsuite.results.environment import environment
from evalsuite.results.folder import RunFolder
from evalsuite.results.read import RunSide, open_run
from evalsuite.results.runlog import RunLog, TaskRecord
from evalsuite.results.samples import read_samples
from evalsuite.results.suites import suite_records
from evalsuite.runs.asked import as_asked
from evalsuite.runs.inputs import inputs_sha256
from evalsuite.scoring.judge import judge_samples
from evalsuite.scoring.verdict import Options
from evalsuite.types import Document, Generated, Prompt, Sample, Score, gold_text
from evalsuite.visible import writable

SCORING_PACKAGES = ("evalsuite", "lm-eval", "math-verify")
"""Packages whose versions rescoring updates in the run log; the others describe the original run."""


@dataclass(frozen=True, slots=True)
class TaskChange:
    """The change that rescoring made to a task."""

    before: TaskRecord
    after: TaskRecord
    documents: tuple[int, ...]
    """Documents whose metrics or status changed."""


def rescore(
    run: Path,
    out: Path,
    registry: Registry,
    *,
    data_dir: Path | None = None,
    allow_failures: bool = False,
    options: Options | None = None,
    progress: Progress | None = None,
) -> tuple[RunLog, list[TaskChange]]:
    """Write a run folder with new verdicts on the same answers; returns its log and the changes.

    Args:
        run: a finished run's folder, or its run.json.
        out: a folder that does not exist yet, or is empty.
        registry: finds the run's tasks.
        data_dir: folder with datasets in Hugging Face layout.
        allow_failures: score a task even if documents have no verdict.
        options: options of the scorers.
        progress: receives the progress of scoring.

    Raises:
        UserError: the run is unfinished or damaged; its prompts or rows have changed since; the folder is in
            use.
    """
    side = open_run(run)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StorageError(f"{out} exists already; choose another --out folder.")
    spec = side.log.spec
    selected = [as_asked(task, spec) for task in registry.select(list(spec.tasks))]
    refuse_unsafe_code(selected, bool(options and options.allow_unsafe_code))
    prepared: list[PreparedTask] = []
    changes: list[TaskChange] = []
    samples: dict[str, Sequence[Sample]] = {}
    for task, before in zip(selected, side.log.tasks, strict=True):
        ready = prepare(
            task, data_dir=data_dir, split=spec.split, subset=spec.subset, allow_drift=spec.allow_data_drift
        )
        rows = _rows(side, before)
        reporting = replace(options or Options(), on_verdicts=verdicts_of(progress or Silent(), task.name))
        judged = judge_samples(_samples(ready, rows), task.spec, reporting, ready.foreign)
        after = _record(ready, before, judged.samples, allow_failures, judged.notes)
        prepared.append(ready)
        samples[after.name] = judged.samples
        changes.append(TaskChange(before, after, _changed(rows, judged.samples)))
    suites = registry.suites.among(spec.suites)
    log = _log(side.log, [change.after for change in changes], prepared, suites, run)
    folder = RunFolder(out)
    with folder.opened(spec):
        folder.write_results(log, samples)
    return log, changes


def _rows(side: RunSide, task: TaskRecord) -> list[dict[str, Any]]:
    side.samples(task)  # raises if the table is damaged
    return read_samples(side.samples_path(task))


def _samples(prepared: PreparedTask, rows: Sequence[Mapping[str, Any]]) -> list[Sample]:
    if len(rows) != len(prepared.documents):
        raise StorageError(
            f"{prepared.selected.name} has {len(prepared.documents)} documents now, but the run has "
            f"{len(rows)}; run it again."
        )
    return [_sample(prepared, index, row) for index, row in enumerate(rows)]


def _sample(prepared: PreparedTask, index: int, row: Mapping[str, Any]) -> Sample:
    """The document with the answers of `row`, not scored yet."""
    selected, document = prepared.selected, prepared.documents[index]
    prompt = prepared.prompt(index, row["shots"])
    _check_same_question(selected, document, prompt, row)
    responses = _responses(row)
    asked = prompt.generation.samples if prompt.generation else len(row["continuation_tokens"])
    answered = 0 < asked == len(responses)
    kept = row["status"] == "too_long" or not answered
    return Sample(
        document=document,
        prompt=prompt,
        shots=row["shots"],
        status=row["status"] if kept else "scored",
        reason=row["reason"] if kept else "",
        gold=gold_text(document),
        responses=responses,
        context_tokens=tuple(row["context_tokens"]),
        continuation_tokens=tuple(row["continuation_tokens"]),
        token_bytes=tuple(row.get("token_bytes") or ()),
    )


def _check_same_question(
    selected: Selected, document: Document, prompt: Prompt, row: Mapping[str, Any]
) -> None:
    same_row = (document.index, document.key(selected.spec.task)) == (row["doc"], row["key"])
    asked = writable(list(prompt.contexts)), writable(list(prompt.continuations))
    if not same_row or asked != (row["contexts"], row["continuations"]):
        changed = "prompt" if same_row else "row"
        raise StorageError(
            f"{selected.name}: the {changed} of document {row['doc']} has changed since the run; run it "
            "again."
        )


def _responses(row: Mapping[str, Any]) -> tuple[Score | Generated, ...]:
    """The row's answers.

    The table has the numbers of single tokens only for held-out texts; elsewhere the first token gets a
    continuation's total.
    """
    scores = zip(row["log_likelihoods"], row["is_greedy"], row["continuation_tokens"], strict=False)
    texts = zip(row["texts"], row["generated_tokens"], row["finishes"], strict=True)
    known, answers, start = row.get("token_log_probs") or (), list[Score | Generated](), 0
    for total, greedy, tokens in scores:
        own = tuple(known[start : start + tokens]) or (total, *[0.0] * (tokens - 1))
        answers.append(Score(own, greedy, total if known else None))
        start += tokens
    return (*answers, *(Generated(*fields) for fields in texts))


def _record(
    prepared: PreparedTask,
    before: TaskRecord,
    samples: Sequence[Sample],
    allow_failures: bool,
    notes: Sequence[str],
) -> TaskRecord:
    """The new record; counts and costs of the engine are kept."""
    after = task_record(
        prepared,
        [],
        samples,
        tokens=before.tokens,
        seconds=before.seconds,
        allow_failures=allow_failures,
        answer_notes=before.answer_notes,
        notes=notes,
    )
    engine = {
        "shots_dropped": before.counts.shots_dropped,
        "joined": before.counts.joined,
        "realigned": before.counts.realigned,
        "scored_bos": before.counts.scored_bos,
        "shortened": before.counts.shortened,
        "altered": before.counts.altered,
        "near_ties": before.counts.near_ties,
    }
    counts = after.counts.model_copy(update=engine)
    return after.model_copy(update={"counts": counts, "requests": before.requests, "window": before.window})


def _changed(rows: Sequence[Mapping[str, Any]], samples: Sequence[Sample]) -> tuple[int, ...]:
    return tuple(
        row["doc"]
        for row, sample in zip(rows, samples, strict=True)
        if row["status"] != sample.status
        or {metric["metric"]: metric["value"] for metric in row["metrics"]} != dict(sample.metrics)
    )


def _log(
    before: RunLog,
    tasks: Sequence[TaskRecord],
    prepared: Sequence[PreparedTask],
    suites: Sequence[Suite],
    run: Path,
) -> RunLog:
    versions = {name: version for name, version in environment().items() if name in SCORING_PACKAGES}
    model = before.model
    inputs = inputs_sha256(before.spec, prepared, model.weights_sha256, model.tokenizer_sha256, suites)
    return before.model_copy(
        update={
            "evalsuite_version": metadata.version("evalsuite"),
            "status": "complete" if all(task.metrics for task in tasks) else "incomplete",
            "inputs_sha256": inputs,
            "environment": {**before.environment, **versions},
            "tasks": tuple(tasks),
            "best_forms": best_forms(tasks),
            "averages": averages(tasks),
            "suites": suite_records(suites, tasks),
            "notes": (*before.notes, f"Scored again from the answers in {run}."),
        }
    )
