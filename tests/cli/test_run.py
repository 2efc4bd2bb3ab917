"""`evalsuite run` as a user meets it: results and exit codes."""

import json
from pathlib import Path

from tests.cli.tiny_run import too_long
from tests.runs.bench import ADDRESSES, read_json


def test_a_run_prints_a_table_and_leaves_everything_in_its_folder(run, bench):
    done = run()
    assert done.code == 0
    for task in ADDRESSES:
        assert task in done.out
    assert "95 % interval" in done.out
    assert "\x1b[" not in done.out + done.err
    assert "…" not in done.out
    assert done.out.splitlines()[-1] == f"results in {bench.out}"
    assert {path.name for path in bench.out.iterdir()} >= {
        "run.json",
        "table.md",
        "responses.sqlite",
        "samples",
    }


def test_progress_goes_to_standard_error_line_by_line(run):
    lines = run().err.splitlines()
    assert all(line.startswith("evalsuite: ") for line in lines)
    stages = [
        line.removeprefix("evalsuite: ").removesuffix(" ...") for line in lines if line.endswith(" ...")
    ]
    assert stages == ["preparing", "encoding", "smoke test", "scoring", "generating", "judging"]
    assert any("tokens" in line and "a second" in line for line in lines)


def test_json_is_the_run_log_and_nothing_else(run, bench):
    done = run(json=True)
    assert done.code == 0
    assert json.loads(done.out) == read_json(bench.out / "run.json")


def test_the_same_command_again_ends_at_once_with_the_same_table(run):
    first, second = run(), run()
    assert (second.code, second.out) == (0, first.out)
    assert "scoring" not in second.err


def test_options_reach_the_specification(run, bench):
    assert run("sums", limit=3, seed=7, dtype="bfloat16", shots=1).code == 0
    spec = read_json(bench.out / "run.json")["spec"]
    assert spec["tasks"] == ["tiny/sums:generate@1"]
    assert (spec["limit"], spec["seed"], spec["dtype"], spec["device"]) == (3, 7, "bfloat16", "cpu")


def test_without_out_the_folder_is_named_after_model_and_specification(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = [run("pairs", out=None, limit=limit).out.splitlines()[-1] for limit in (2, 3)]
    assert len(list((tmp_path / "results" / "runs").glob("*tiny-*/run.json"))) == 2
    for line in told:
        assert Path(tmp_path, line.removeprefix("results in "), "run.json").is_file()


def test_prompts_beyond_the_context_window_are_named_and_leave_no_score(run, bench):
    too_long(bench)
    done = run("quiz")
    assert done.code == 1
    told = " ".join(done.out.split())
    assert "1 of 6 documents do not fit the context window (document 5: " in told
    assert "the context window has 128); no score." in told
    assert "5/6" in done.out
    assert "Traceback" not in done.err


def test_with_json_the_reason_is_on_standard_error_too(run, bench):
    too_long(bench)
    done = run("quiz", json=True)
    assert done.code == 1
    assert json.loads(done.out)["status"] == "incomplete"
    assert "evalsuite: quiz: 1 of 6 documents do not fit the context window" in done.err


def test_allowed_failures_are_a_score_with_its_count(run, bench):
    too_long(bench)
    done = run("quiz", allow_failures=True)
    assert done.code == 0
    assert "5/6" in done.out
    assert read_json(bench.out / "run.json")["tasks"][0]["metrics"]["acc"]["n"] == 5


def test_a_quiet_run_prints_its_table_alone(run):
    done = run("quiz", quiet=True)
    assert done.code == 0
    assert done.err == ""
    assert "quiz" in done.out
