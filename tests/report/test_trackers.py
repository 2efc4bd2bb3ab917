"""What experiment trackers are told of a run; stand-ins record it, so that none of them must be installed.

`test_tracker_packages.py` drives the real packages.
"""

import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from evalsuite.errors import UserError
from evalsuite.report.trackers import send_to_tracker
from evalsuite.results.runlog import read_run
from tests.fabricate import Made, fabricate


@pytest.fixture
def log(tmp_path):
    return read_run(
        fabricate(tmp_path / "run", {"quiz@25": [1.0, 1.0, 0.0, 1.0], "broken": Made([1.0, 0.0], failed=[0])})
    )


@contextmanager
def nothing(value=None):
    yield value


def test_wandb_gets_scores_and_settings_in_one_run(log, monkeypatch):
    told = {}

    def init(**given):
        told.update(given)
        return nothing(SimpleNamespace(log=lambda values: told.update(scores=values)))

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    send_to_tracker(log, "wandb", "checkpoints", "step-1000")
    assert (told["project"], told["name"]) == ("checkpoints", "step-1000")
    assert told["config"]["quiz@25/prompt_sha256"] == "a" * 64
    assert told["scores"]["quiz@25/acc"] == 0.75
    assert told["scores"]["quiz@25/acc_n"] == 4
    assert not [name for name in told["scores"] if name.startswith("broken")]


def test_mlflow_gets_names_that_it_accepts(log, monkeypatch):
    told = {}
    module = SimpleNamespace(
        set_experiment=lambda name: told.update(experiment=name),
        start_run=lambda run_name: nothing(told.update(run=run_name)),
        log_params=lambda values: told.update(params=values),
        log_metrics=lambda values: told.update(metrics=values),
    )
    monkeypatch.setitem(sys.modules, "mlflow", module)
    send_to_tracker(log, "mlflow", "checkpoints", "step-1000")
    assert (told["experiment"], told["run"], told["metrics"]["quiz-25/acc"]) == (
        "checkpoints",
        "step-1000",
        0.75,
    )
    assert "quiz-25/address" in told["params"]


def test_trackio_is_finished(log, monkeypatch):
    calls = []
    module = SimpleNamespace(
        init=lambda **given: calls.append(given["project"]),
        log=lambda values: calls.append(values["quiz@25/acc"]),
        finish=lambda: calls.append("finished"),
    )
    monkeypatch.setitem(sys.modules, "trackio", module)
    send_to_tracker(log, "trackio", "checkpoints", "step-1000")
    assert calls == ["checkpoints", 0.75, "finished"]


def test_a_tracker_that_is_not_installed_is_named_with_its_extra(log, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"pip install 'evalsuite\[wandb\]'"):
        send_to_tracker(log, "wandb", "checkpoints", "step-1000")


def test_a_tracker_that_refuses_is_one_sentence(log, monkeypatch):
    def init(**given):
        raise RuntimeError("no API key\nand much more")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    with pytest.raises(UserError, match=r"^wandb rejected the run: no API key$"):
        send_to_tracker(log, "wandb", "checkpoints", "step-1000")


def test_an_unknown_tracker_is_named_with_the_known_ones(log):
    with pytest.raises(UserError, match=r"Unknown tracker 'wand'\. Did you mean wandb\?"):
        send_to_tracker(log, "wand", "checkpoints", "step-1000")
