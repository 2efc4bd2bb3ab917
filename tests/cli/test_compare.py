"""`evalsuite compare` as a user meets it."""

import json

import pytest

from tests.fabricate import Made, fabricate, flipped, verdicts

BASE = verdicts(300, 200)


@pytest.fixture
def runs(tmp_path):
    second = flipped(BASE, lost=60, gained=10)
    return fabricate(tmp_path / "before", {"quiz": BASE}), fabricate(tmp_path / "after", {"quiz": second})


def test_the_table_tells_delta_interval_test_and_power(evalsuite, runs):
    done = evalsuite("compare", *runs, "--flips", 2)
    assert (done.returncode, done.stderr) == (0, "")
    assert "after against before" in done.stdout
    [row] = [line for line in done.stdout.splitlines() if "acc" in line]
    for cell in ("60.00", "50.00", "-10.00", "worse", "500"):
        assert cell in row
    assert "quiz lost: document 0  key" in done.stdout
    assert "quiz lost: 58 more" in done.stdout


def test_json_is_the_comparison(evalsuite, runs):
    done = evalsuite("compare", *runs, "--json")
    found = json.loads(done.stdout)
    metric = found["pairs"][0]["tasks"][0]["metrics"]["acc"]
    assert (found["schema_version"], metric["lost"], len(metric["flips"])) == (1, 60, 70)


def test_malformed_input_is_one_sentence_and_exit_code_3(evalsuite, runs, tmp_path):
    first, second = runs
    other = fabricate(tmp_path / "other", {"quiz": Made(BASE, record={"prompt_sha256": "b" * 64})})
    newer = fabricate(tmp_path / "newer", {"quiz": BASE})
    log = (newer / "run.json").read_text("utf-8")
    (newer / "run.json").write_text(log.replace('"schema_version": 1', '"schema_version": 2'), "utf-8")
    strangers = fabricate(tmp_path / "strangers", {"quiz": Made([1, 0], rows=[-1, -2])})
    samples = second / "samples" / "quiz.parquet"
    samples.write_bytes(samples.read_bytes()[:-100])
    for path, said in (
        (second, "damaged or truncated"),
        (other, "--allow-protocol-drift"),
        (newer, "not a run log of schema version 1"),
        (strangers, "no common documents"),
        (tmp_path / "nowhere", "cannot be read"),
    ):
        done = evalsuite("compare", first, path)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith("evalsuite: ")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_usage_error_is_exit_code_3(evalsuite):
    assert evalsuite("compare").returncode == 3
    assert evalsuite("compare", "a", "b", "--sideways").returncode == 3
