"""`watch --model-config` evaluates distributed checkpoints as they become complete."""

import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from evalsuite.cli import app
from evalsuite.errors import UserError
from evalsuite.results.runlog import read_run
from evalsuite.watch.complete import Completeness, Readiness
from tests.dcp import writing
from tests.watch.conftest import arguments, bench, cli, made

__all__ = ["arguments", "bench", "cli", "made"]
QUICK = ("--once", "--settle", "0", "--poll", "0.1", "--quiet")


@pytest.fixture
def config(made, tmp_path) -> Path:
    ignored = shutil.ignore_patterns("*.safetensors", "*.index.json")
    return shutil.copytree(made[100], tmp_path / "config", ignore=ignored)


@pytest.fixture
def training(made, tmp_path) -> Path:
    """Two complete checkpoints, one without a step in its name, and one that was never finished."""
    folder = tmp_path / "training"
    folder.mkdir()
    for step, name in ((100, "step-100"), (200, "final"), (300, "step-300")):
        writing.save(AutoModelForCausalLM.from_pretrained(made[step]).state_dict(), folder / name)
    (folder / "step-300" / ".metadata").unlink()
    return folder


def test_complete_checkpoints_score_as_the_models_that_were_stored(
    training, config, made, arguments, bench, tmp_path
):
    done = CliRunner().invoke(
        app, ["watch", str(training), "--model-config", str(config), *arguments(*QUICK)]
    )
    assert done.exit_code == 0, done.output
    assert "step-300 is not complete: Checkpoint" in done.output
    runs = bench.folder / "runs"
    assert sorted(path.parent.name for path in runs.glob("*/run.json")) == ["final", "step-100"]
    for name, step in (("final", 200), ("step-100", 100)):
        single = CliRunner().invoke(
            app, ["run", "--model", str(made[step]), *arguments()[:-1], str(tmp_path / f"single-{step}")]
        )
        assert single.exit_code == 0, single.output
        ours, alone = read_run(runs / name), read_run(tmp_path / f"single-{step}")
        assert [task.metrics for task in ours.tasks] == [task.metrics for task in alone.tasks]
        assert ours.model.tokenizer_sha256 == alone.model.tokenizer_sha256
        assert ours.spec.configuration == str(config)


def test_every_prefix_of_a_checkpoints_writing_is_incomplete(training, config, tmp_path):
    """Files arrive in the order in which they are written, each cut at its middle first."""
    source, target = training / "final", tmp_path / "step-5"
    target.mkdir()
    judge = Completeness("", 0, model_config=str(config))
    assert judge.of(target)[0] is Readiness.INCOMPLETE
    (target / "config.json").write_text('{"model": {}}')  # the framework's own
    assert judge.of(target)[0] is Readiness.INCOMPLETE
    paths = sorted(source.iterdir(), key=lambda path: path.name == ".metadata")
    for path in paths:
        content = path.read_bytes()
        for share in (content[: len(content) // 2], content):
            (target / path.name).write_bytes(share)
            readiness, reason = judge.of(target)
            whole = path == paths[-1] and share is content
            assert (readiness is Readiness.COMPLETE) is whole, reason


def test_a_watch_with_a_wrong_configuration_ends_at_once(training, config, made, arguments, tmp_path):
    def ended(folder, *options: object) -> str:
        done = CliRunner().invoke(app, ["watch", str(folder), *map(str, options), *arguments(*QUICK[1:])])
        assert isinstance(done.exception, UserError), done.output
        return str(done.exception)

    assert "is a raw checkpoint, without configuration and tokenizer: give --model-config" in ended(training)
    assert "Unknown value of --model-config 'nowhere'" in ended(training, "--model-config", "nowhere")
    exported = tmp_path / "exported"
    shutil.copytree(made[100], exported / "step-100")
    assert "has its own configuration: leave it out" in ended(exported, "--model-config", config)
