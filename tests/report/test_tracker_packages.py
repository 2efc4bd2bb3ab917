"""Curves in the trackers' real packages, with local stores; each runs in a process of its own.

The packages are not among the requirements of the tests (wandb alone has 60 MB): a test without its package
is skipped.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evalsuite.report.trackers.curves import STATE
from tests.fabricate import fabricate

SEND = """
import json, sys
from pathlib import Path
from evalsuite.report.trackers import RunPoint, send_points
from evalsuite.results.runlog import read_run
folders = [Path(path) for path in sys.argv[2:]]
points = [RunPoint(folder, read_run(folder), int(folder.name.partition("-")[2])) for folder in folders]
print("sent", send_points(points, sys.argv[1], "project", "training"))
"""
READ = {
    "mlflow": """
from mlflow import MlflowClient
client = MlflowClient()
[run] = client.search_runs([client.get_experiment_by_name("project").experiment_id])
points = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "quiz-25/acc")]
""",
    "trackio": """
from trackio.sqlite_storage import SQLiteStorage
points = [(row["step"], row["quiz@25/acc"]) for row in SQLiteStorage.get_logs("project", "training")]
""",
    "tensorboard": """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator("project/training")
events.Reload()
points = [(event.step, round(event.value, 6)) for event in events.Scalars("quiz@25/acc")]
""",
}


@pytest.fixture
def called(tmp_path):
    """Runs a program beside local stores, and returns what it prints last."""
    settings = {
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_TRACKING_URI": f"file://{tmp_path}/mlruns",
        "TRACKIO_DIR": str(tmp_path / "trackio"),
        "WANDB_MODE": "offline",
    }

    def run(program: str, *arguments: object) -> str:
        import os

        root = str(Path(__file__).parents[2])
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **settings, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    return run


@pytest.fixture
def runs(tmp_path):
    rights = {300: 7, 100: 3, 200: 5}
    return [
        fabricate(tmp_path / f"step-{step}", {"quiz@25": [1.0] * right + [0.0] * (10 - right)})
        for step, right in rights.items()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("tracker", READ)
def test_points_in_any_order_are_each_there_once(tracker, called, runs):
    pytest.importorskip(tracker)
    assert "sent 1" in called(SEND, tracker, runs[0])
    assert "sent 2" in called(SEND, tracker, *runs)
    for folder in runs:
        (folder / STATE).unlink()  # as if killed before it was written
    assert "sent 0" in called(SEND, tracker, *runs)
    found = json.loads(called(READ[tracker] + "\nimport json\nprint(json.dumps(sorted(points)))"))
    assert found == [[100, 0.3], [200, 0.5], [300, 0.7]]


@pytest.mark.slow
def test_wandb_offline_keeps_one_run_of_a_fixed_id(called, runs, tmp_path):
    pytest.importorskip("wandb")
    called(SEND, "wandb", runs[0])
    called(SEND, "wandb", *runs)
    folders = list((tmp_path / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    assert len({folder.name.rpartition("-")[2] for folder in folders}) == 1
    assert all((folder / STATE).is_file() for folder in runs)
