"""`evalsuite card` and `list cards` as a user meets them."""

import json

import pytest

from tests.cli.test_list import HEAVY
from tests.fabricate import fabricate, verdicts


@pytest.fixture
def run(tmp_path):
    return fabricate(tmp_path / "run", {"quiz": verdicts(30, 20)})


def test_each_number_has_a_verdict_with_its_reason(evalsuite, run):
    done = evalsuite("card", run, "--card", "nemotron-h-56b", "--markdown")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("not comparable, because the run has no task") == 14
    assert "The run evaluates run; the published numbers are of nvidia/Nemotron-H-56B-Base-8K." in done.stdout
    table = evalsuite("card", run, "--card", "nemotron-h-56b")
    assert "verdict" in table.stdout


def test_json_is_the_document(evalsuite, run):
    done = evalsuite("card", run, "--card", "nemotron-h-8b", "--json")
    found = json.loads(done.stdout)
    assert (found["schema_version"], found["card"], len(found["cells"])) == (1, "nemotron-h-8b", 14)
    assert found["cells"][0]["reasons"][0]["kind"] == "no_task"


def test_malformed_input_is_one_sentence_and_exit_code_3(evalsuite, run, tmp_path):
    (tmp_path / "mine.yaml").write_text("title: 1\nvalues: 2\n", "utf-8")
    for arguments, said in (
        ((tmp_path / "nowhere", "--card", "nemotron-h-56b"), "cannot be read"),
        ((run, "--card", "nemotron-h-65b"), "Did you mean nemotron-h-"),
        ((run, "--card", "mine.yaml"), "mine.yaml, line 1: 'title' is 1: "),
        ((run, "--card", "olmo-2-7b"), "choose a model with --model"),
    ):
        done = evalsuite("card", *arguments)
        assert (done.returncode, done.stdout) == (3, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_cards_are_listed_without_heavy_imports(fresh_evalsuite):
    done = fresh_evalsuite("list", "cards", "--json", PYTHONPROFILEIMPORTTIME="1")
    rows = {row["card"]: row for row in json.loads(done.stdout)}
    assert rows["nemotron-h-56b"]["models"] == ["nvidia/Nemotron-H-56B-Base-8K"]
    assert sum(row["numbers"] for row in rows.values()) >= 527
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not HEAVY & imported
