"""Results of lm-eval as runs: they pair with our own runs document by document."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalsuite.cli import app
from evalsuite.decisions.compare.compare import compare
from evalsuite.errors import UserError
from evalsuite.lm_eval_bridge.importing import import_results
from evalsuite.results.runlog import UNKNOWN
from tests.golden.golden import SHARED, needs_package, needs_shared
from tests.lm_eval_bridge.conftest import evaluate, hf_model, run

pytestmark = [needs_package("lm-eval")]

LOCAL = ["local_choice", "local_pairs", "local_texts", "local_rolling"]


def save(theirs, folder: Path) -> Path:
    """Written by lm-eval's own tracker, as `--output_path --log_samples` does."""
    from lm_eval.loggers import EvaluationTracker

    tracker = EvaluationTracker(output_path=str(folder))
    tracker.general_config_tracker.model_name = "tiny"
    tracker.general_config_tracker.model_name_sanitized = "tiny"
    samples = theirs.results.pop("samples")
    tracker.save_results_aggregated(results=theirs.results, samples=samples)
    for task in theirs.results["configs"]:
        tracker.save_results_samples(task_name=task, samples=samples[task])
    [file] = folder.rglob("results_*.json")
    return file


@pytest.fixture(scope="module")
def written(tiny, local, tmp_path_factory) -> Path:
    """Results and samples of definitions of our own, with a group."""
    theirs = evaluate(hf_model(tiny), [*LOCAL[2:], "local_group"], local)
    return save(theirs, tmp_path_factory.mktemp("written"))


@pytest.fixture
def copied(written, tmp_path) -> Path:
    """The same, to be damaged."""
    return Path(shutil.copytree(written.parent, tmp_path / "copy")) / written.name


def test_an_imported_run_pairs_with_our_own_run_without_a_difference(tiny, local, written, tmp_path):
    tasks = ["local_group", *LOCAL[2:]]
    log = import_results(written, tmp_path / "imported", include=[local])
    run(tiny, tasks, tmp_path / "ours", local)
    pair = compare(tmp_path / "imported", tmp_path / "ours").pairs[0]
    assert [task.name for task in pair.tasks] == [f"lm_eval/{name}" for name in sorted(tasks)]
    for task in pair.tasks:
        assert (task.only_in_baseline, task.only_in_candidate, task.unscored) == (0, 0, 0)
        assert task.common == log.task(task.name).counts.documents
        for name, metric in task.metrics.items():
            assert metric.delta == pytest.approx(0, abs=2e-4), (task.name, name)
    assert {one.kind for one in pair.differences} == {"numerics", "engine", "package", "data"} - {"data"}


def test_what_lm_eval_does_not_write_is_said_to_be_unknown(written, tmp_path):
    log = import_results(written.parent, tmp_path / "imported")
    assert (log.model.weights_sha256, log.model.tokenizer_sha256) == (UNKNOWN, UNKNOWN)
    assert any("unknown" in note for note in log.notes)
    assert log.model.numerics.split()[0::2] == ["lm-eval", "float32"]
    again = import_results(written, tmp_path / "again")
    same = compare(tmp_path / "imported", tmp_path / "again")
    assert not any("weights are the same" in one.text for one in same.pairs[0].differences)
    assert again.inputs_sha256 == log.inputs_sha256


def test_scores_are_those_of_the_file(written, tmp_path):
    log = import_results(written, tmp_path / "imported")
    stated = json.loads(written.read_text())["results"]
    for task in log.tasks:
        for name, metric in task.metrics.items():
            key = name if "," in name else f"{name},none"
            assert metric.value == pytest.approx(stated[task.task][key], rel=1e-9)
        assert not any("in the results file" in note for note in task.notes)


def test_results_without_samples_have_scores_only(copied, tmp_path):
    for file in copied.parent.glob("samples_*"):
        file.unlink()
    log = import_results(copied, tmp_path / "imported")
    assert log.task("lm_eval/local_choice").metrics["acc"].n == 7
    with pytest.raises(UserError, match="is missing; this command needs the run's samples"):
        compare(tmp_path / "imported", tmp_path / "imported")


def test_files_that_are_cut_short_or_foreign_give_one_sentence(copied, tmp_path):
    result = CliRunner().invoke
    [samples] = copied.parent.glob("samples_local_pairs*")
    lines = samples.read_text().splitlines(keepends=True)
    for content, told in (
        ("".join(lines[:-1]), "has 3 documents, but the results file 4: it is truncated"),
        ("".join(lines)[:-20], "line 4, is not JSON: the file is truncated"),
        ('{"doc": 1}\n', "line 1, is not a sample of lm-eval: it has no 'doc_id'"),
    ):
        samples.write_text(content)
        with pytest.raises(UserError, match=told):
            import_results(copied, tmp_path / "none")
    whole = copied.read_text()
    for content, told in (
        (whole[: len(whole) // 2], "is not JSON"),
        ("[1]", "is not a results file of lm-eval"),
        ('{"results": {}, "configs": {}, "n-shot": {}, "config": {}}', "has no tasks"),
    ):
        copied.write_text(content)
        with pytest.raises(UserError, match=told):
            import_results(copied, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"has no results_\*\.json"):
        import_results(tmp_path / "empty", tmp_path / "none")
    told = result(app, ["import-lm-eval", str(copied), "--out", str(tmp_path / "none")])
    assert isinstance(told.exception, UserError)
    assert not (tmp_path / "none").exists()


@needs_shared
@pytest.mark.slow
def test_results_of_a_task_that_we_have_a_spec_of_pair_with_it(tiny, local, tmp_path):
    tasks = ["arc_easy", "openbookqa", "lambada_openai", "gsm8k", "mmlu_anatomy"]
    theirs = evaluate(hf_model(tiny), tasks, local, limit=4)
    file = save(theirs, tmp_path / "theirs")
    import_results(file, tmp_path / "imported", SHARED)
    run(tiny, tasks, tmp_path / "ours", local, limit=4)
    pair = compare(tmp_path / "imported", tmp_path / "ours").pairs[0]
    assert len(pair.tasks) == len(tasks)
    for task in pair.tasks:
        assert (task.common, task.only_in_baseline, task.only_in_candidate) == (4, 0, 0)
        assert all(metric.delta == pytest.approx(0, abs=2e-4) for metric in task.metrics.values())
        assert task.headline in task.metrics
    # Without the data our spec's prompts cannot be rendered, and equal protocols are not claimed.
    import_results(file, tmp_path / "blind")
    with pytest.raises(UserError, match=r"prompt specs? of"):
        compare(tmp_path / "blind", tmp_path / "ours")
