"""`torchrun --nproc-per-node 2 -m evalsuite run ...` as a user meets it."""

import os
import subprocess
import sys

import pytest

from tests.cli.tiny_run import arguments
from tests.runs.bench import read_json


def torchrun(listed: list[str]) -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "evalsuite"]
    return subprocess.run(
        [*start, *listed],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
def test_two_processes_write_one_run_and_speak_once(run, bench, model, tmp_path):
    assert run("quiz", "sums").code == 0
    done = torchrun(arguments(bench, model, "quiz", "sums", out=tmp_path / "team"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("results in ") == 1
    assert done.stderr.count("evalsuite: preparing ...") == 1
    alone, team = (read_json(folder / "run.json") for folder in (bench.out, tmp_path / "team"))
    assert team["status"] == "complete"
    assert team["model"]["numerics"] == f"{alone['model']['numerics']} tp2"
    assert [task["metrics"] for task in team["tasks"]] == [task["metrics"] for task in alone["tasks"]]
    missing = torchrun(arguments(bench, model, "quiz", data=tmp_path / "nowhere", out=tmp_path / "other"))
    assert missing.returncode != 0
    assert missing.stderr.count("no such folder") == 1


@pytest.mark.parametrize(
    "options", [{"plan_only": True}, {"engine": "openai", "base_url": "http://localhost:1"}, {"workers": 2}]
)
def test_what_a_team_does_not_do_is_a_sentence(run, monkeypatch, options):
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    done = run("pairs", **options)
    assert (done.code, done.out) == (2, "")
    assert "torchrun" in done.err
    assert len(done.err.splitlines()) == 1
