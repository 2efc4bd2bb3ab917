"""The hub's `.eval_results/*.yaml`, which model pages and the leaderboards of benchmark datasets show.

The format is that of huggingface_hub's `EvalResultEntry`. The hub knows a benchmark's tasks by the ids in the
dataset's `eval.yaml`, which cannot be seen from here: the dataset's configuration is written, and for a
dataset without configurations "default".
"""

import yaml

from evalsuite.export.datasets import dataset_of, revision_of
from evalsuite.export.publisher import Publisher
from evalsuite.registry.addresses import file_stem
from evalsuite.registry.registry import Registry
from evalsuite.results.read import RunSide
from evalsuite.results.runlog import TaskRecord
from evalsuite.stats.metrics import lower_is_better


def hub_files(side: RunSide, publisher: Publisher) -> tuple[dict[str, str], tuple[str, ...]]:
    """A file per task, with its headline score: in points of 100, or as it is where lower is better."""
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    registry, found, remarks = Registry.load(), {}, []
    for task in side.log.tasks:
        data = dataset_of(task, registry)
        if not task.metrics:
            continue
        if data is None:
            remarks.append(f"{task.name} is left out: its rows are no dataset on the hub")
            continue
        entry = EvalResultEntry(
            dataset_id=data.id,
            task_id=data.config,
            value=_value(task),
            dataset_revision=revision_of(task),
            date=side.log.started,
            notes=_notes(side, task),
            **({"source_url": publisher.url, "source_name": publisher.organization} if publisher.url else {}),
        )
        text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True)
        found[f".eval_results/{file_stem(task.name)}.yaml"] = text
    if suites := [suite.name for suite in side.log.suites if suite.means]:
        remarks.append(
            f"the values of {', '.join(suites)} are left out: a result of the hub is of one dataset"
        )
    return found, tuple(remarks)


def _value(task: TaskRecord) -> float:
    value = task.metrics[task.headline].value
    return value if lower_is_better(task.headline) else round(100 * value, 4)


def _notes(side: RunSide, task: TaskRecord) -> str:
    score = task.metrics[task.headline]
    error = "" if score.stderr is None else f", standard error {score.stderr:.4f}"
    version = side.log.evalsuite_version
    return f"{task.headline} of {task.address}, {score.n} documents{error}, evalsuite {version}"
