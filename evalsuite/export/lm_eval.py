"""lm-eval's `results_<time>.json`, with `samples_<task>_<time>.jsonl` beside it (lm-eval 0.4.13).

What a run does not keep is not invented: a member task's score has no error, the number of rows of a member
task's split is that of its scored documents, and the version of lm-eval is "none". Documents without a
verdict are left out. A suite is a group: its means are the group's scores, with their names in the place of
lm-eval's filters.
"""

import functools
import json
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from evalsuite.export.datasets import dataset_of
from evalsuite.export.lm_eval_samples import sample_files
from evalsuite.export.publisher import Publisher
from evalsuite.prompting.spec import GENERATED
from evalsuite.registry.addresses import file_stem
from evalsuite.registry.registry import Registry
from evalsuite.results.read import RunSide
from evalsuite.results.runlog import RunLog, SuiteRecord, TaskRecord
from evalsuite.results.samples import read_samples
from evalsuite.stats.metrics import lower_is_better

NO_FILTER = "none"
"""lm-eval's name of the filter that changes nothing."""
NO_ERROR = "N/A"
"""lm-eval's standard error where there is none."""
OWN_RECIPE = "lm_eval"
SECTIONS = (
    "results",
    "groups",
    "group_subtasks",
    "configs",
    "versions",
    "n-shot",
    "higher_is_better",
    "n-samples",
)
"""The parts of the file that have an entry per task."""


def lm_eval_files(side: RunSide, publisher: Publisher) -> tuple[dict[str, str], tuple[str, ...]]:
    """The results and the samples of each task, in a folder named after the model."""
    log = side.log
    stamp = datetime.fromisoformat(log.started).strftime("%Y-%m-%dT%H-%M-%S.%f")
    folder = "".join(sign if sign.isalnum() or sign in "-_." else "__" for sign in log.spec.model)
    found = {f"results_{stamp}.json": json.dumps(_results(log), indent=2, ensure_ascii=False) + "\n"}
    remarks = []
    for task in log.tasks:
        if task.metrics:
            rows = read_samples(side.samples_path(task))
            if rows and "contexts" not in rows[0]:
                remarks.append(
                    f"{task.name} has no samples file: the run's samples were stored without prompts"
                )
            else:
                found |= sample_files(rows, functools.partial(leaf_of, task), stamp)
    return {f"{folder}/{name}": text for name, text in found.items()}, tuple(remarks)


def name_of(task: TaskRecord) -> str:
    """lm-eval's name of a task: its own for its own protocol, else one with the recipe."""
    own = task.recipe == OWN_RECIPE and task.name == f"{OWN_RECIPE}/{task.task}"
    return task.task if own else file_stem(task.name).replace(".", "_")


def leaf_of(task: TaskRecord, subtask: str) -> str:
    """lm-eval's name of a member task; of the task itself if `subtask` is empty."""
    name = name_of(task)
    if not subtask or name == task.task:
        return subtask or name
    return f"{name}_{subtask.removeprefix(f'{task.task}_')}"


def split_metric(metric: str) -> tuple[str, str]:
    """lm-eval's metric and filter; our names of its filtered metrics have the filter behind a comma."""
    name, _, filter_name = metric.partition(",")
    return name, filter_name or NO_FILTER


def _results(log: RunLog) -> dict[str, Any]:
    registry = Registry.load()
    found: dict[str, Any] = {section: {} for section in SECTIONS}
    scored = [task for task in log.tasks if task.metrics]
    for task in scored:
        for section, name, value in _entries(task, registry):
            found[section][name] = value
    names, taken = {task.name: name_of(task) for task in scored}, frozenset(found["results"])
    for suite in log.suites:
        for section, name, value in _suite_entries(suite, names, taken):
            found[section][name] = value
    if not found["groups"]:
        del found["groups"]
    started = datetime.fromisoformat(log.started).timestamp()
    return found | {
        "config": {
            "model": "evalsuite",
            "model_args": f"pretrained={log.spec.model},dtype={log.spec.dtype}",
            "limit": log.spec.limit,
            "random_seed": log.spec.seed,
            "fewshot_seed": log.spec.seed,
        },
        "model_source": "evalsuite",
        "model_name": log.spec.model,
        "date": started,
        "start_time": started,
        "total_evaluation_time_seconds": str(log.seconds),
        "lm_eval_version": f"none (written by evalsuite {log.evalsuite_version})",
    }


def _entries(task: TaskRecord, registry: Registry) -> Iterator[tuple[str, str, Any]]:
    """Section, name and value of everything that the file says of a task and its members."""
    name = name_of(task)
    scores = {"alias": task.name}
    for metric, record in task.metrics.items():
        scores |= _score(metric, record.value, record.stderr)
    yield "results", name, scores
    if task.subtasks:
        yield "groups", name, scores
    members = {leaf_of(task, member): one for member, one in task.subtasks.items()}
    yield "group_subtasks", name, list(members)
    for leaf, one in members.items():
        own = {"alias": f" - {leaf}", "sample_len": one.scored}
        for metric, value in one.metrics.items():
            own |= _score(metric, value, None)
        yield "results", leaf, own
        yield "n-samples", leaf, {"original": one.scored, "effective": one.scored}
    if not members:
        rows = task.data[task.split].rows if task.split in task.data else task.counts.scored
        yield "n-samples", name, {"original": rows, "effective": task.counts.scored}
    for leaf in members or (name,):
        yield "configs", leaf, _config(task, leaf, registry)
    better = {split_metric(metric)[0]: not lower_is_better(metric) for metric in task.metrics}
    for each in (name, *members):
        yield "versions", each, task.prompt_version
        yield "n-shot", each, task.shots
        yield "higher_is_better", each, better


def _suite_entries(
    suite: SuiteRecord, names: Mapping[str, str], taken: Collection[str]
) -> Iterator[tuple[str, str, Any]]:
    """Section, name and value of everything that the file says of a suite.

    A suite without a value has its members alone, as lm-eval's groups without a score have.

    Args:
        suite: the suite's record.
        names: lm-eval's names of the scored tasks by ours.
        taken: names of tasks and member tasks, which no suite may have.
    """
    name = f"{suite.name} (suite)" if suite.name in taken else suite.name
    yield "group_subtasks", name, [names[task] for task in suite.tasks if task in names]
    scores: dict[str, Any] = {}
    for label, mean in suite.means.items():
        if mean.score is not None:
            metric = f"{mean.metric},{label}" if len(suite.means) > 1 else mean.metric
            scores |= _score(metric, mean.score.value, mean.score.stderr)
    if scores:
        yield "results", name, {"alias": name} | scores
        yield "groups", name, {"alias": name} | scores
        yield "versions", name, suite.version
        metrics = {mean.metric for mean in suite.means.values()}
        yield "higher_is_better", name, {metric: not lower_is_better(metric) for metric in sorted(metrics)}


def _score(metric: str, value: float, stderr: float | None) -> dict[str, Any]:
    name, filter_name = split_metric(metric)
    error = NO_ERROR if stderr is None else stderr
    return {f"{name},{filter_name}": value, f"{name}_stderr,{filter_name}": error}


def _config(task: TaskRecord, leaf: str, registry: Registry) -> Mapping[str, Any]:
    data = dataset_of(task, registry)
    return {
        "task": leaf,
        "dataset_path": data.id if data else None,
        "dataset_name": data.config if data and data.config != "default" else None,
        "test_split": task.split,
        "output_type": "generate_until" if task.format in GENERATED else "multiple_choice",
        "num_fewshot": task.shots,
        "metadata": {
            "version": task.prompt_version,
            "evalsuite_address": task.address,
            "prompt_sha256": task.prompt_sha256,
            "comparability": task.comparability,
        },
    }
