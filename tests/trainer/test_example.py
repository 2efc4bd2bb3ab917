"""The example loop, shortened: `watch` gives its checkpoints the scores of the live model."""

import sys
from pathlib import Path

import pytest
import torch

import evalsuite
from evalsuite.watch import WatchOptions, watch_checkpoints

FOLDER = Path(__file__).parents[2] / "examples" / "trainer"


@pytest.fixture
def example(monkeypatch):
    """The example's modules."""
    monkeypatch.syspath_prepend(str(FOLDER))
    torch.set_num_threads(1)
    import sums
    import train

    yield sums, train
    for name in ("sums", "train"):
        sys.modules.pop(name)


def scores_in(folder: Path) -> dict[str, dict[str, float]]:
    logs = {path.parent.name: evalsuite.read_run(path) for path in sorted(folder.glob("*/run.json"))}
    return {
        step: {task.name: task.metrics[task.headline].value for task in log.tasks}
        for step, log in logs.items()
    }


def test_the_rows_are_those_that_the_script_writes_and_the_training_shows_none_of_them(example):
    import itertools
    import json
    import random

    sums, _ = example
    rows = [*sums.rows()]
    assert [json.loads(line) for line in sums.FILE.read_text().splitlines()] == rows
    shown = {
        line.partition("=")[0] for line in itertools.islice(sums.training_text(random.Random(1)), 20_000)
    }
    assert shown.isdisjoint(row["sum"] for row in rows)


@pytest.mark.slow
def test_the_live_model_and_its_checkpoints_have_the_same_scores_and_the_losses_stay(example, tmp_path):
    _, train = example
    losses = train.train(tmp_path / "watched", 30, 10)
    assert losses == train.train(tmp_path / "alone", 30, 10, evaluated=False)
    code = watch_checkpoints(
        tmp_path / "watched" / "checkpoints",
        "sums,sums_written",
        tmp_path / "runs",
        options=evalsuite.RunOptions(device="cpu", include=[FOLDER / "sums.py"]),
        watching=WatchOptions(once=True, settle=0),
    )
    assert code == 0
    live, watched = scores_in(tmp_path / "watched" / "live"), scores_in(tmp_path / "runs")
    assert [*live] == [*watched] == ["step-10", "step-20", "step-30"]
    for step, scores in live.items():
        assert scores == pytest.approx(watched[step], abs=1e-6)
    sides = [tmp_path / "watched" / "live" / "step-30", tmp_path / "runs" / "step-30"]
    one, other = (evalsuite.read_run(side) for side in sides)
    assert one.model.tokenizer_sha256 == other.model.tokenizer_sha256
    assert one.model.numerics == other.model.numerics
    [pair] = evalsuite.compare(*sides).pairs
    for task in pair.tasks:
        for metric in task.metrics.values():
            assert metric.delta == pytest.approx(0, abs=1e-6)
