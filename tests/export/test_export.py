"""Runs in the formats of other tools; lm-eval's is tested beside the bridge, by reading it back."""

import csv
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from evalsuite.cli import app
from evalsuite.errors import UserError
from evalsuite.export import EXPORTERS, export
from evalsuite.export.publisher import Publisher
from evalsuite.results.read import open_run
from tests.decisions.trend.test_suites import run as run_of_suite
from tests.fabricate import Made, fabricate, verdicts
from tests.golden.golden import needs_package

HELLASWAG = {
    "address": "lm_eval/hellaswag:cloze@0",
    "task": "hellaswag",
    "recipe": "lm_eval",
    "split": "validation",
    "data": {"validation": {"rows": 10042, "fingerprint": "f" * 64, "source": "hub Rowan/hellaswag@abc123"}},
}


@pytest.fixture
def run(tmp_path) -> Path:
    """A task of the registry, a task that nothing knows, and bits per byte."""
    tasks = {
        "lm_eval/hellaswag": Made(verdicts(6, 4), record=HELLASWAG),
        "own": Made(verdicts(1, 3)),
        "bits": Made([0.5, 1.5], metric="bits_per_byte"),
    }
    return fabricate(tmp_path / "model-1b", tasks)


@pytest.fixture
def of_suite(tmp_path) -> Path:
    """Two tasks with the means "main", centred, and "quiz"; a task of the hub's and a plain list, too."""
    folder = run_of_suite(tmp_path / "of-suite", 400, 600)
    suites = open_run(folder).log.suites
    plain = suites[0].model_copy(update={"name": "ours/list", "means": {}})
    made = {
        name: Made(verdicts(right, 1000 - right), record={"address": f"ours/{name}:cloze@0"})
        for name, right in (("quiz", 400), ("pairs", 600))
    }
    made["lm_eval/hellaswag"] = Made(verdicts(6, 4), record=HELLASWAG)
    return fabricate(folder, made, suites=(*suites, plain))


def test_the_hubs_files_are_what_its_own_library_reads(run, tmp_path):
    from huggingface_hub import parse_eval_result_entries

    written = export(
        run, "hf-eval-results", out=tmp_path / "out", publisher=Publisher("We", url="https://w.e")
    )
    [path] = written.paths
    assert path.relative_to(tmp_path / "out").as_posix() == ".eval_results/lm_eval.hellaswag.yaml"
    [entry] = parse_eval_result_entries(yaml.safe_load(path.read_text("utf-8")))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("Rowan/hellaswag", "default", 60.0)
    assert (entry.dataset_revision, entry.date) == ("abc123", "2026-11-22T12:00:00+00:00")
    assert (entry.source_url, entry.source_name) == ("https://w.e", "We")
    assert "acc of lm_eval/hellaswag:cloze@0, 10 documents, standard error 0.1633" in entry.notes
    assert written.remarks == (
        "own is left out: its rows are no dataset on the hub",
        "bits is left out: its rows are no dataset on the hub",
    )


def test_the_hub_has_no_place_for_suites_and_the_export_says_so(of_suite, tmp_path):
    written = export(of_suite, "hf-eval-results", out=tmp_path)
    assert [path.name for path in written.paths] == ["lm_eval.hellaswag.yaml"]
    assert written.remarks[-1] == ("the values of ours are left out: a result of the hub is of one dataset")


def test_a_suite_is_a_group_of_lm_eval_with_its_means_as_scores(of_suite, tmp_path):
    [results] = [path for path in export(of_suite, "lm-eval", out=tmp_path).paths if path.suffix == ".json"]
    content = json.loads(results.read_text("utf-8"))
    [suite] = [one for one in open_run(of_suite).log.suites if one.means]
    main, quiz = suite.means["main"].score, suite.means["quiz"].score
    assert content["groups"] == {"ours": content["results"]["ours"]}
    assert content["groups"]["ours"] == {
        "alias": "ours",
        "centred,main": main.value,
        "centred_stderr,main": main.stderr,
        "acc,quiz": quiz.value,
        "acc_stderr,quiz": quiz.stderr,
    }
    assert content["group_subtasks"]["ours"] == content["group_subtasks"]["ours/list"] == ["quiz", "pairs"]
    assert content["versions"]["ours"] == 1
    assert content["higher_is_better"]["ours"] == {"acc": True, "centred": True}


@needs_package("lm-eval")
def test_lm_eval_prints_the_suites_from_the_file(of_suite, tmp_path):
    from lm_eval.utils import make_table

    [results] = [path for path in export(of_suite, "lm-eval", out=tmp_path).paths if path.suffix == ".json"]
    content = json.loads(results.read_text("utf-8"))
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in make_table(content, "groups").splitlines()
    ]
    assert ["", "", "main", "", "centred", "↑", "0.2", "±", "0.0186"] in rows
    assert ["ours", "1", "quiz", "", "acc", "↑", "0.4", "±", "0.0155"] in rows
    assert "quiz" in make_table(content)


def test_a_value_that_excludes_documents_or_is_missing_is_named(of_suite, tmp_path):
    log = open_run(of_suite).log
    main = log.suites[0].means["main"]
    means = {
        "main": main.model_copy(update={"problem": "it excludes documents of quiz"}),
        "quiz": log.suites[0].means["quiz"].model_copy(update={"score": None, "problem": "no quiz"}),
    }
    suites = (log.suites[0].model_copy(update={"means": means}),)
    run = fabricate(
        tmp_path / "partial", {"quiz": Made(verdicts(1, 1), record={"problem": "2 failed"})}, suites=suites
    )
    for format in ("lm-eval", "every-eval-ever", "csv"):
        assert export(run, format, out=tmp_path).remarks == (
            "quiz has a score, but 2 failed",
            "ours main has a value, but it excludes documents of quiz",
            "ours quiz has no value: no quiz",
        )
    task, suite = every_eval_ever(run, tmp_path)["evaluation_results"]
    assert task["score_details"]["details"] == {"problem": "2 failed"}
    assert suite["score_details"]["details"] == {"problem": "it excludes documents of quiz"}


def test_the_csv_has_every_score_with_all_digits(run, tmp_path):
    [path] = export(run, "csv", out=tmp_path).paths
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    assert [(row["task"], row["metric"], float(row["value"])) for row in rows] == [
        ("lm_eval/hellaswag", "acc", 0.6),
        ("own", "acc", 0.25),
        ("bits", "bits_per_byte", 1.0),
    ]


def every_eval_ever(run: Path, out: Path) -> dict:
    [path] = export(run, "every-eval-ever", out=out, publisher=Publisher("We", "third_party")).paths
    return json.loads(path.read_text("utf-8"))


def test_every_eval_ever_has_a_result_per_task_and_metric(run, tmp_path):
    document = every_eval_ever(run, tmp_path)
    first, own, bits = document["evaluation_results"]
    assert first["source_data"]["hf_repo"] == "Rowan/hellaswag"
    assert first["score_details"]["score"] == 0.6
    assert first["score_details"]["uncertainty"]["standard_error"]["value"] == pytest.approx(0.1633, abs=1e-4)
    assert own["source_data"]["source_type"] == "other"
    assert bits["metric_config"]["lower_is_better"] is True
    assert document["source_metadata"]["evaluator_relationship"] == "third_party"


def test_every_eval_ever_has_a_result_per_mean_of_a_suite(of_suite, tmp_path):
    *_, main, quiz = every_eval_ever(of_suite, tmp_path)["evaluation_results"]
    score = open_run(of_suite).log.suites[0].means["main"].score
    assert (main["evaluation_name"], quiz["evaluation_name"]) == ("ours main", "ours quiz")
    assert main["score_details"]["score"] == score.value
    assert main["score_details"]["uncertainty"]["confidence_interval"]["lower"] == score.low
    # With both tasks at 0: the mean of -0.25 / 0.75 and -0.5 / 0.5.
    assert main["metric_config"]["min_score"] == pytest.approx((-1 / 3 - 1) / 2)
    assert quiz["metric_config"]["min_score"] == 0
    assert json.loads(main["generation_config"]["additional_details"]["terms"])[0]["baseline"] == 0.25


@pytest.mark.slow
@pytest.mark.parametrize("which", ["run", "of_suite"])
def test_every_eval_ever_is_valid_by_the_published_schema(which, request, tmp_path):
    """The schema is read from the wheel of every-eval-ever 0.3.0, which Python 3.11 cannot install."""
    import jsonschema

    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    wanted = ["--python-version=3.12", "--dest", str(tmp_path), "every-eval-ever==0.3.0"]
    subprocess.run([*command, *wanted], check=True, timeout=120)
    [wheel] = tmp_path.glob("*.whl")
    schema = json.loads(zipfile.ZipFile(wheel).read("every_eval_ever/schemas/eval.schema.json"))
    document = every_eval_ever(request.getfixturevalue(which), tmp_path / "out")
    assert document["schema_version"] == schema["version"]
    jsonschema.validate(document, schema, cls=jsonschema.Draft7Validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"eval_library": {}}, schema, cls=jsonschema.Draft7Validator)


@pytest.mark.parametrize("format", EXPORTERS)
def test_the_command_writes_into_the_runs_folder(format, run):
    done = CliRunner().invoke(app, ["export", str(run), "--format", format])
    assert done.exit_code == 0, done.output
    written = [path for path in (run / "export" / format).rglob("*") if path.is_file()]
    assert written
    assert all(str(path) in done.output for path in written)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "csvs"], "Unknown format 'csvs'. Did you mean csv?"),
        (["--format", "csv", "--relationship", "first-party"], "Did you mean first_party?"),
        (["--format", "csv", "--out", "/proc/none"], "cannot"),
    ],
)
def test_a_mistake_gives_one_sentence(arguments, words, run):
    done = CliRunner().invoke(app, ["export", str(run), *arguments])
    assert done.exit_code == 3
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_full_disk_leaves_no_part_of_a_file(run, tmp_path):
    (tmp_path / "scores.csv.unfinished").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"free some space and run the same command again\.$"):
        export(run, "csv", out=tmp_path)
    assert not (tmp_path / "scores.csv").exists()


def test_a_task_without_a_score_is_named_and_a_run_without_any_is_refused(tmp_path):
    some = fabricate(tmp_path / "some", {"a": verdicts(1, 1), "b": Made(verdicts(1, 1), failed=[0])})
    assert export(some, "csv", out=tmp_path).remarks == ("b has no score: 1 documents failed",)
    none = fabricate(tmp_path / "none", {"b": Made(verdicts(1, 1), failed=[0])})
    with pytest.raises(UserError, match="no scores"):
        export(none, "csv", out=tmp_path)
