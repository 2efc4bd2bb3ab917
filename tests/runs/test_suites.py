"""A suite from its address to the run log, through runs, merges of shards and new verdicts."""

import json

import pytest
import yaml

from evalsuite.checkpoints import ModelFiles
from evalsuite.registry.registry import Registry
from evalsuite.results.run_spec import RunSpec
from evalsuite.runs.execute import execute
from evalsuite.runs.options import Execution
from evalsuite.runs.rescore import rescore
from tests.runs.bench import Bench, ScriptedEngine

SUITE = {
    "version": 1,
    "title": "two tiny tasks",
    "source": {"status": "ours"},
    "members": ["tiny/quiz", "tiny/pairs"],
    "means": {"main": {"baselines": {"tiny/quiz": 0.25, "tiny/pairs": 0.5}}},
}


@pytest.fixture
def bench(tmp_path):
    bench = Bench.make(tmp_path)
    write(bench, SUITE)
    return bench


def write(bench, suite):
    folder = bench.folder / "recipes" / "small" / "suites"
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / "recipe.yaml").write_text("title: small\n", "utf-8")
    (folder / "small.yaml").write_text(yaml.safe_dump(suite, sort_keys=False), "utf-8")


def registry(bench):
    return Registry.load([bench.plugin, bench.folder / "recipes"])


def run(bench):
    known = registry(bench)
    tasks, suites = known.select(["small"]), known.suites.among(["small"])
    spec = RunSpec(
        tasks=tuple(one.address for one in tasks), suites=tuple(one.name for one in suites), model="scripted"
    )
    execution = Execution(folder=bench.out, data_dir=bench.data)
    files = ModelFiles("scripted", bench.folder / "nowhere")
    return execute(spec, tasks, files, execution, suites=suites, engine=ScriptedEngine())


def test_the_log_has_the_value_and_the_identity_of_the_suite(bench):
    log = run(bench)
    [suite] = log.suites
    score = suite.means["main"].score
    found = {task.name: task.metrics[task.headline].value for task in log.tasks}
    assert suite.sha256 == registry(bench).suites.named("small").sha256
    assert score.value == pytest.approx(
        ((found[suite.tasks[0]] - 0.25) / 0.75 + (found[suite.tasks[1]] - 0.5) / 0.5) / 2
    )
    assert json.loads((bench.out / "run.json").read_text("utf-8"))["spec"]["suites"] == ["small"]
    assert "small" in (bench.out / "table.md").read_text("utf-8")


def test_another_version_of_the_suite_is_computed_anew_from_the_stored_answers(bench):
    first = run(bench)
    assert run(bench) == first
    write(bench, SUITE | {"version": 2, "means": {"main": {}}})
    second = run(bench)
    assert second.suites[0].version == 2
    assert second.suites[0].means["main"].score.value != first.suites[0].means["main"].score.value


def test_new_verdicts_give_the_suite_again(bench, tmp_path):
    log = run(bench)
    again, _ = rescore(bench.out, tmp_path / "again", registry(bench), data_dir=bench.data)
    assert again.suites == log.suites
