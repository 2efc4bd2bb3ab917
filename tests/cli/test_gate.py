"""`evalsuite gate` as a CI meets it."""

import json
from pathlib import Path

import pytest

from evalsuite.decisions.gate.gate import gate
from tests.fabricate import fabricate, flipped, verdicts

BASE = verdicts(1500, 1000)
EXAMPLES = Path(__file__).parents[2] / "examples" / "gate"


@pytest.fixture
def runs(tmp_path):
    lost = {"same": 0, "worse": 250, "unsure": 60}
    return {
        name: fabricate(tmp_path / name, {"mmlu": flipped(BASE, lost=count, gained=count // 10)})
        for name, count in lost.items()
    }


@pytest.mark.parametrize(
    ("candidate", "code", "word"), [("same", 0, "PASS"), ("worse", 1, "FAIL"), ("unsure", 2, "INCONCLUSIVE")]
)
def test_the_exit_code_is_the_verdict(evalsuite, runs, tmp_path, candidate, code, word):
    done = evalsuite(
        "gate", "--baseline", runs["same"], "--candidate", runs[candidate], "--junit", "gate.xml"
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert f"\n{word}: " in done.stdout
    assert (tmp_path / "gate.xml").is_file()


def test_malformed_input_is_exit_code_3_and_nothing_is_written(evalsuite, runs, tmp_path):
    (tmp_path / "policy.yaml").write_text("default:\n  margn: 0.1\n", "utf-8")
    sides = ("--baseline", runs["same"], "--junit", "gate.xml", "--candidate")
    for arguments, said in (
        ((runs["worse"], "--policy", "policy.yaml"), "line 2: unknown field 'default.margn'"),
        (("nowhere",), "nowhere cannot be read"),
    ):
        done = evalsuite("gate", *sides, *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
        assert said in done.stderr
    assert evalsuite("gate", "--baseline", runs["same"]).returncode == 3
    assert not (tmp_path / "gate.xml").exists()


def test_json_is_the_report(evalsuite, runs):
    done = evalsuite("gate", "--baseline", runs["same"], "--candidate", runs["worse"], "--json")
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (1, "FAIL")


def test_the_example_policy_can_be_passed_by_an_unchanged_candidate(tmp_path):
    sizes = {"mmlu": 14042, "gsm8k": 1319, "arc_challenge": 1172, "winogrande": 1267, "commonsense_qa": 1221}
    run = fabricate(tmp_path / "run", {name: verdicts(size // 2, size // 2) for name, size in sizes.items()})
    report = gate(run, run, EXAMPLES / "policy.yaml")
    assert report.outcome == "PASS"
    assert report.pass_chance > 0.9
