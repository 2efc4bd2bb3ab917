"""`evalsuite rescore` as a user calls it."""

import json

import pytest

from tests.runs.bench import PLUGIN, oracle


@pytest.fixture
def rescore(cli, bench):
    bench.execute(oracle([bench.prepared("sums")], wrong={1, 4}), "sums")

    def call(*more):
        return cli("rescore", bench.out, "--data", bench.data, "--include", bench.plugin, *more)

    return call


def test_a_run_is_scored_again_beside_itself(rescore, bench):
    done = rescore()
    assert (done.code, done.err) == (0, "")
    assert "Nothing changed." in done.out
    beside = bench.out.with_name("out-rescored")
    assert f"results in {beside}" in done.out.replace("\n", "")
    assert {file.name for file in beside.iterdir()} >= {"run.json", "samples", "table.md"}


def test_what_changed_is_said(rescore, bench, tmp_path):
    bench.plugin.write_text(PLUGIN.replace(r'(r"-?\d+",)', r'(r"-?\d",)'), "utf-8")
    done = rescore("--out", tmp_path / "new")
    assert done.code == 0
    row = next(line for line in done.out.splitlines() if "exact_match" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["sums", "exact_match", "66.67", "100.00", "2"]
    assert "sums: documents 1, 4 changed." in done.out


def test_the_new_log_is_printed_as_json(rescore):
    log = json.loads(rescore("--json").out)
    assert log["tasks"][0]["metrics"]["exact_match"]["value"] == pytest.approx(4 / 6)


def test_a_folder_that_is_no_run_is_one_sentence(cli, tmp_path):
    done = cli("rescore", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "run.json cannot be read" in done.err


def test_a_folder_that_is_taken_is_one_sentence(rescore):
    assert rescore().code == 0
    done = rescore()
    assert (done.code, done.out) == (2, "")
    assert "exists already; choose another --out folder" in done.err
