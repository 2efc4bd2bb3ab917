"""A run written in lm-eval's format says the same when lm-eval, or evalsuite's own import, reads it."""

import json
import shutil
from pathlib import Path

import pytest

from evalsuite.export import export
from evalsuite.lm_eval_bridge.importing import import_results
from evalsuite.results.runlog import SuiteMeanRecord, SuiteRecord, SuiteTerm
from tests.golden.golden import needs_package
from tests.lm_eval_bridge.conftest import run

pytestmark = [needs_package("lm-eval")]

TASKS = ["local_group", "local_texts"]


@pytest.fixture(scope="module")
def ours(tiny, local, tmp_path_factory):
    return run(tiny, TASKS, tmp_path_factory.mktemp("ours") / "run", local)


@pytest.fixture(scope="module")
def written(ours, tmp_path_factory) -> dict[str, Path]:
    """The written files by the beginning of their names."""
    paths = export(ours.folder, "lm-eval", out=tmp_path_factory.mktemp("written")).paths
    return {path.name.rpartition("_")[0]: path for path in paths}


def test_our_import_reads_back_the_same_scores_and_verdicts(ours, written, local, tmp_path):
    back = import_results(written["results"], tmp_path / "back", include=[local])
    assert {task.name for task in back.tasks} == {task.name for task in ours.log.tasks}
    for task in ours.log.tasks:
        again = back.task(task.name)
        assert again.counts.scored == task.counts.scored
        assert {name: one.value for name, one in again.metrics.items()} == pytest.approx(
            {name: one.value for name, one in task.metrics.items()}
        )
        assert not again.problem


def test_a_suite_around_a_group_leaves_the_import_as_it_is(ours, local, tmp_path):
    names = tuple(task.name for task in ours.log.tasks)
    score = next(iter(ours.log.tasks[0].metrics.values()))
    terms = tuple(SuiteTerm(task=name, metric="", share=0.5) for name in names)
    mean = SuiteMeanRecord(metric="score", score=score, terms=terms)
    suite = SuiteRecord(
        name="ours", version=1, sha256="0", title="", source={}, tasks=names, means={"a": mean, "b": mean}
    )
    folder = Path(shutil.copytree(ours.folder, tmp_path / "run"))
    log = ours.log.model_copy(update={"suites": (suite,)})
    (folder / "run.json").write_text(log.model_dump_json(), encoding="utf-8")
    [results] = [path for path in export(folder, "lm-eval").paths if path.name.startswith("results")]
    assert json.loads(results.read_text("utf-8"))["group_subtasks"]["ours"] == ["local_group", "local_texts"]
    back = import_results(results, tmp_path / "back", include=[local])
    assert {task.name: task.metrics.keys() for task in back.tasks} == {
        task.name: task.metrics.keys() for task in ours.log.tasks
    }


def test_lm_eval_prints_its_table_from_the_file(ours, written):
    from lm_eval.utils import make_table

    content = json.loads(written["results"].read_text("utf-8"))
    table, groups = make_table(content), make_table(content, "groups")
    for task in ours.log.tasks:
        value = f"{task.metrics[task.headline].value:.4f}"
        assert any(task.name in line and value in line for line in table.splitlines()), table
    assert "local_group" in groups


def test_lm_eval_finds_the_files_by_their_names(written):
    from lm_eval.utils import get_file_task_name, get_results_filenames, get_sample_results_filenames

    names = [str(path) for path in written.values()]
    assert get_results_filenames(names) == [str(written["results"])]
    samples = get_sample_results_filenames(names)
    assert len(samples) == len(names) - 1
    assert {get_file_task_name(Path(name).name) for name in samples} >= {"local_choice", "local_texts"}


def test_a_sample_has_the_requests_with_their_answers(ours, written):
    lines = [json.loads(line) for line in written["samples_local_choice"].read_text("utf-8").splitlines()]
    rows = [row for row in ours.samples("local_group") if row["subtask"] == "local_choice"]
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert line["arguments"]["gen_args_0"] == {
            "arg_0": row["contexts"][0],
            "arg_1": row["continuations"][0],
        }
        assert [float(answer[0][0]) for answer in line["resps"]] == row["log_likelihoods"]
        assert line["acc"] == {one["metric"]: one["value"] for one in row["metrics"]}["acc"]
