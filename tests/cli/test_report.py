"""`evalsuite report` as a user meets it."""

import json

import pytest
from typer.testing import CliRunner

from evalsuite.cli.app import app
from tests.fabricate import Made, fabricate, verdicts

GOOD = verdicts(30, 20)


@pytest.fixture
def run(tmp_path):
    return fabricate(tmp_path / "run", {"quiz": GOOD})


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """What `evalsuite report` says of input that it refuses: one sentence, exit code 3, nothing written."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        done = CliRunner().invoke(app, ["report", *map(str, arguments)])
        assert (done.exit_code, done.stdout) == (3, "")
        assert done.stderr.startswith("evalsuite: ")
        assert done.stderr.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before
        return done.stderr

    return invoke


def test_page_latex_and_csv_are_written_and_named(evalsuite, run, tmp_path):
    files = [tmp_path / name for name in ("page.html", "table.tex", "table.csv")]
    done = evalsuite("report", run, "--html", files[0], "--latex", files[1], "--csv", files[2])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == list(map(str, files))
    assert files[0].read_text("utf-8").startswith("<!doctype html>")
    assert "quiz" in files[1].read_text("utf-8")
    assert "quiz" in files[2].read_text("utf-8")


def _other_version(run):
    log = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(log | {"schema_version": 99}))


def _truncated(run):
    path = run / "samples" / "quiz.parquet"
    path.write_bytes(path.read_bytes()[:-60])


def _damaged_inside(run):
    path = run / "samples" / "quiz.parquet"
    data = bytearray(path.read_bytes())
    data[8 : len(data) // 2] = bytes(len(data) // 2 - 8)
    path.write_bytes(data)


def _empty(run):
    log = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(log | {"tasks": []}))


def _unfinished(run):
    log = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(log | {"status": "running"}))


def _without_samples(run):
    (run / "samples" / "quiz.parquet").unlink()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_other_version, "is not a run log of schema version 1"),
        (_truncated, "is damaged or truncated"),
        (_damaged_inside, "is damaged or truncated"),
        (_empty, "is an empty run"),
        (_unfinished, "has not finished"),
        (_without_samples, "is missing"),
    ],
)
def test_a_run_that_cannot_be_read_is_one_sentence_and_nothing_is_written(refused, run, damage, sentence):
    damage(run)
    assert sentence in refused(run, "--html", "page.html", "--csv", "table.csv")


def test_runs_without_a_common_document_are_one_sentence(refused, run, tmp_path):
    other = fabricate(tmp_path / "other", {"quiz": Made([1.0, 0.0], rows=[1000, 1001])})
    assert "have no common documents" in refused(run, other, "--html", "page.html")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--html", "nowhere/page.html"), "the folder nowhere does not exist"),
        (("--html", "run"), "run is a folder; give a file"),
        (("--html", "page.html", "--card", "nemotron-h-56"), "nemotron-h-56b"),
    ],
)
def test_wrong_options_are_one_sentence(refused, run, options, sentence):
    assert sentence in refused(run, *options)


def test_usage_errors_are_3_as_for_all_verbs_that_judge(evalsuite):
    assert evalsuite("report").returncode == 3
