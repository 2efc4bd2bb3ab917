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
from tests.fabricate import Made, fabricate, verdicts

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


@pytest.mark.slow
def test_every_eval_ever_is_valid_by_the_published_schema(run, tmp_path):
    """The schema is read from the wheel of every-eval-ever 0.3.0, which Python 3.11 cannot install."""
    import jsonschema

    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    wanted = ["--python-version=3.12", "--dest", str(tmp_path), "every-eval-ever==0.3.0"]
    subprocess.run([*command, *wanted], check=True, timeout=120)
    [wheel] = tmp_path.glob("*.whl")
    schema = json.loads(zipfile.ZipFile(wheel).read("every_eval_ever/schemas/eval.schema.json"))
    document = every_eval_ever(run, tmp_path / "out")
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


def test_a_task_without_a_score_is_named_and_a_run_without_any_is_refused(tmp_path):
    some = fabricate(tmp_path / "some", {"a": verdicts(1, 1), "b": Made(verdicts(1, 1), failed=[0])})
    assert export(some, "csv", out=tmp_path).remarks == (
        "b has no score (1 documents failed) and is left out",
    )
    none = fabricate(tmp_path / "none", {"b": Made(verdicts(1, 1), failed=[0])})
    with pytest.raises(UserError, match="no scores"):
        export(none, "csv", out=tmp_path)
