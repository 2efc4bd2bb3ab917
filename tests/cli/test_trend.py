"""`evalsuite trend` as a user meets it."""

import json

import pytest

from evalsuite.results.run_spec import RunSpec
from tests.fabricate import fabricate, verdicts


@pytest.fixture
def runs(tmp_path):
    return [
        fabricate(
            tmp_path / f"run{step}",
            {"quiz": verdicts(right, 500 - right)},
            spec=RunSpec(tasks=("quiz",), model=f"ckpt/step-{step}"),
        )
        for step, right in ((1000, 150), (2000, 210), (3000, 255), (4000, 310), (5000, 350))
    ]


def test_scores_noise_and_verdicts_are_shown_and_plotted(evalsuite, runs, tmp_path):
    pytest.importorskip("matplotlib")
    done = evalsuite("trend", *runs, "--plot", "trend.svg")
    assert (done.returncode, done.stderr) == (0, "")
    for shown in (
        "scores by step",
        "5000",
        "70.00 ±4.0",
        "signal/noise",
        "a gain is detectable from one checkpoint to the next",
    ):
        assert shown in done.stdout
    assert (tmp_path / "trend.svg").read_text("utf-8").startswith("<?xml")


def test_json_is_the_document_and_needs_no_matplotlib(fresh_evalsuite, runs):
    done = fresh_evalsuite("trend", *runs, "--json", "--steps", "10,20,30,40,50", PYTHONPROFILEIMPORTTIME="1")
    found = json.loads(done.stdout)
    assert [one["step"] for one in found["checkpoints"]] == [10, 20, 30, 40, 50]
    assert found["tasks"][0]["verdict"] == "yes"
    assert "matplotlib" not in done.stderr


def test_malformed_input_is_one_sentence_and_exit_code_3(evalsuite, runs, tmp_path):
    damaged = fabricate(tmp_path / "damaged", {"quiz": verdicts(5, 5)})
    (damaged / "run.json").write_text("{", "utf-8")
    for arguments, said in (
        ((runs[0], damaged, "--plot", "a.svg"), "not a run log of schema version 1"),
        ((runs[0], "--plot", "a.svg"), "Give two or more runs"),
        ((*runs, "--plot", "a.gif"), "must be one of .svg, .png, .pdf"),
        ((*runs, "--plot", "no/where/a.svg"), "does not exist"),
        ((*runs, "--steps", "1,b"), "not a comma-separated list"),
        ((*runs, "--steps", "1,2", "--plot", "a.svg"), "2 numbers for 5 runs"),
    ):
        done = evalsuite("trend", *arguments)
        assert (done.returncode, done.stdout) == (3, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("a.*"))
