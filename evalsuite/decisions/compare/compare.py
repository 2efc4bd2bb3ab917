"""Tests whether runs differ by more than chance.

Public names: `compare`, `compare_sides`, `common_tasks`, `paired_of`, `labels_of`, `run_info`.
"""

import math
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from evalsuite.decisions.compare.differences import (
    refuse_other_prompts,
    run_differences,
    sample_differences,
    task_differences,
)
from evalsuite.decisions.compare.document import (
    Comparison,
    Difference,
    Flip,
    MetricComparison,
    PairComparison,
    RunInfo,
    TaskComparison,
    TextDifference,
)
from evalsuite.decisions.compare.pairs import Pairs, Values, align, common_values
from evalsuite.decisions.compare.suites import suite_comparisons
from evalsuite.errors import UserError
from evalsuite.results.read import RunSide, TaskSamples, open_run
from evalsuite.results.runlog import TaskRecord
from evalsuite.stats.metrics import is_macro, lower_is_better
from evalsuite.stats.multiple import holm
from evalsuite.stats.paired import Paired, paired_estimate
from evalsuite.stats.power import detectable_delta, detectable_mean_delta


def compare(baseline: str | Path, *candidates: str | Path, allow_protocol_drift: bool = False) -> Comparison:
    """Compare runs with the first one: per task delta, interval, test and power on paired documents.

    Args:
        baseline: run folder or `run.json`.
        candidates: one or more other runs.
        allow_protocol_drift: compare even if a task's prompt specs differ; the result lists the difference.

    Raises:
        UserError: a run cannot be read, the runs have nothing in common, or prompt specs differ.
    """
    if not candidates:
        raise UserError("Give two or more runs to compare.")
    first, others = open_run(Path(baseline)), [open_run(Path(path)) for path in candidates]
    labels = labels_of([first, *others])
    return Comparison(
        evalsuite_version=metadata.version("evalsuite"),
        baseline=run_info(first, labels[0]),
        pairs=tuple(
            compare_sides(first, other, allow_protocol_drift, label)
            for other, label in zip(others, labels[1:], strict=True)
        ),
    )


def compare_sides(
    first: RunSide, second: RunSide, allow_protocol_drift: bool = False, label: str = ""
) -> PairComparison:
    """Compare a pair of opened runs; raises the errors of `compare`."""
    common = common_tasks(first, second)
    if not allow_protocol_drift:
        refuse_other_prompts(common)
    tasks, differences = [], run_differences(first, second)
    for one, other in common:
        task, found = _task(one, other, first.samples(one), second.samples(other))
        tasks.append(task)
        differences += [*task_differences(one, other), *found]
    if not any(task.metrics for task in tasks):
        reasons = " ".join(f"{task.name}: {task.problem}." for task in tasks)
        raise UserError(f"{first.path} and {second.path} have no common documents. {reasons}")
    paired = [other.name for _, other in common]
    return PairComparison(
        candidate=run_info(second, label or second.log.spec.model),
        tasks=tuple(_with_holm(tasks)),
        only_in_baseline=tuple(name for name in first.tasks if name not in [one.name for one, _ in common]),
        only_in_candidate=tuple(name for name in second.tasks if name not in paired),
        differences=tuple(differences),
        suites=tuple(suite_comparisons(first.log, second.log, tasks)),
    )


def common_tasks(first: RunSide, second: RunSide) -> list[tuple[TaskRecord, TaskRecord]]:
    """Tasks of both runs, matched by full address or else by name; raises UserError if there are none."""
    by_address = {task.address: task for task in second.log.tasks}
    common = []
    for task in first.log.tasks:
        other = by_address.get(task.address) or second.tasks.get(task.name)
        if other is not None:
            common.append((task, other))
    if not common:
        raise UserError(
            f"{first.path} and {second.path} have no task in common: the baseline has "
            f"{', '.join(first.tasks)}; the candidate has {', '.join(second.tasks)}."
        )
    return common


def _task(
    one: TaskRecord, other: TaskRecord, before: TaskSamples, after: TaskSamples
) -> tuple[TaskComparison, list[Difference]]:
    pairs = align(before, after)
    unscored = [
        pair
        for pair, (row, other_row) in enumerate(pairs.common)
        if before.statuses[row] != "scored" or after.statuses[other_row] != "scored"
    ]
    metrics, clusters = {}, None
    for metric in dict.fromkeys([one.headline, *(name for row in before.metrics for name in row)]):
        values = common_values(before, after, pairs, metric)
        if values.rows:
            metrics[metric] = _metric(values, metric, is_macro(metric, one.aggregation), before, after)
            clusters = len(set(values.clusters)) if values.clusters is not None else None
    problem = ""
    if not pairs.common:
        problem = f"baseline ({len(before)} documents) and candidate ({len(after)}) have no common document"
    elif not metrics:
        problem = "no common document has a verdict in both runs"
    task = TaskComparison(
        name=one.name,
        address=one.address,
        headline=one.headline,
        common=len(pairs.common),
        only_in_baseline=len(pairs.only_first),
        only_in_candidate=len(pairs.only_second),
        unscored=len(unscored),
        clusters=clusters,
        metrics=metrics,
        texts=_texts(before, after, pairs) if one.format == "text" else (),
        problem=problem,
    )
    return task, sample_differences(one.name, before, after, pairs, unscored)


def _texts(before: TaskSamples, after: TaskSamples, pairs: Pairs) -> tuple[TextDifference, ...]:
    values = common_values(before, after, pairs, "bits_per_byte")
    rows = zip(values.rows, values.baseline, values.candidate, values.weights or (), strict=True)
    return tuple(
        TextDifference(
            doc=before.docs[row],
            candidate_doc=after.docs[other_row],
            subtask=before.subtasks[row],
            key=before.keys[row],
            bytes=round(size),
            baseline_bits=was * size,
            candidate_bits=now * size,
        )
        for (row, other_row), was, now, size in rows
    )


def paired_of(values: Values, macro: bool, confidence: float = 0.95) -> Paired:
    """The paired estimate from aligned values."""
    return paired_estimate(
        values.baseline,
        values.candidate,
        strata=values.subtasks if macro else None,
        clusters=values.clusters,
        weights=values.weights,
        confidence=confidence,
    )


def _metric(
    values: Values, metric: str, macro: bool, before: TaskSamples, after: TaskSamples
) -> MetricComparison:
    paired = paired_of(values, macro)
    lower = lower_is_better(metric)
    flips = _flips(values, before, after, lower)
    lost = sum((flip.candidate > flip.baseline) == lower for flip in flips)
    return MetricComparison(
        baseline=paired.baseline,
        candidate=paired.candidate,
        delta=paired.delta,
        stderr=paired.stderr,
        low=paired.low,
        high=paired.high,
        interval=paired.interval,
        test=paired.test,
        p=paired.p,
        p_holm=None,
        mde=_detectable(paired),
        discordance=paired.discordance,
        effective_n=paired.effective_n,
        n=paired.n,
        lower_is_better=lower,
        gained=len(flips) - lost,
        lost=lost,
        flips=flips,
    )


def _detectable(paired: Paired) -> float | None:
    if paired.binary:
        return detectable_delta(paired.effective_n, paired.discordance)
    if not paired.stderr:
        return None
    found = detectable_mean_delta(paired.effective_n, paired.stderr * math.sqrt(paired.effective_n))
    return found if math.isfinite(found) else None


def _flips(values: Values, before: TaskSamples, after: TaskSamples, lower: bool) -> tuple[Flip, ...]:
    flips = [
        Flip(
            doc=before.docs[row],
            candidate_doc=after.docs[other_row],
            subtask=before.subtasks[row],
            key=before.keys[row],
            baseline=was,
            candidate=now,
        )
        for (row, other_row), was, now in zip(values.rows, values.baseline, values.candidate, strict=True)
        if was != now
    ]
    return tuple(sorted(flips, key=lambda flip: ((flip.candidate > flip.baseline) != lower, flip.doc)))


def _with_holm(tasks: list[TaskComparison]) -> list[TaskComparison]:
    """Adjust the headline metrics' p over all tasks that have one (Holm)."""
    tested = [task for task in tasks if task.headline in task.metrics]
    adjusted: Mapping[str, float] = dict(
        zip(
            [task.name for task in tested],
            holm([task.metrics[task.headline].p for task in tested]),
            strict=True,
        )
    )
    return [
        task.model_copy(
            update={
                "metrics": task.metrics
                | {
                    task.headline: task.metrics[task.headline].model_copy(
                        update={"p_holm": adjusted[task.name]}
                    )
                }
            }
        )
        if task.name in adjusted
        else task
        for task in tasks
    ]


def labels_of(sides: list[RunSide]) -> list[str]:
    """Short names that distinguish the runs: their models, or else their folders."""
    models = [side.log.spec.model for side in sides]
    folders = [side.folder.name for side in sides]
    names = models if len(set(models)) == len(models) else folders
    return names if len(set(names)) == len(names) else [str(side.path) for side in sides]


def run_info(side: RunSide, label: str) -> RunInfo:
    """The run's identity, for documents that refer to it."""
    log = side.log
    return RunInfo(
        path=str(side.path),
        label=label,
        model=log.model.id,
        weights_sha256=log.model.weights_sha256,
        numerics=log.model.numerics,
        evalsuite_version=log.evalsuite_version,
        started=log.started,
    )
