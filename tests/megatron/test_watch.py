"""`watch --model-config` evaluates the checkpoints of a Megatron training as they become complete."""

import pytest
from typer.testing import CliRunner

from evalsuite.cli import app
from evalsuite.results.runlog import read_run
from evalsuite.watch.complete import Completeness, Readiness
from tests.megatron.models import tiny
from tests.megatron.writing import Training, write_distributed, write_ranks
from tests.watch.conftest import arguments, bench, cli

__all__ = ["arguments", "bench", "cli"]
QUICK = ("--once", "--settle", "0", "--poll", "0.1", "--quiet")


def test_each_complete_iteration_scores_as_the_model_that_was_trained(
    tmp_path, config_folders, arguments, bench
):
    training = tmp_path / "training"
    complete = write_distributed(training, Training(tiny("llama"), 2))
    (training / "latest_checkpointed_iteration.txt").write_text("1000")
    unfinished = write_ranks(tmp_path / "other", Training(tiny("llama", 1), 1, 2)).rename(
        training / "iter_0002000"
    )
    (unfinished / "mp_rank_00_001/model_optim_rng.pt").unlink()
    config = config_folders["llama"]
    done = CliRunner().invoke(
        app, ["watch", str(training), "--model-config", str(config), *arguments(*QUICK)]
    )
    assert done.exit_code == 0, done.output
    assert "iter_0002000 is not complete: Checkpoint" in done.output
    assert "lacks the file of tensor rank 0 and pipeline rank 1" in done.output.replace("\n", " ")
    runs = bench.folder / "runs"
    assert [path.parent.name for path in runs.glob("*/run.json")] == [complete.name]

    plain = tmp_path / "plain"
    tiny("llama").save_pretrained(plain)
    for path in config.iterdir():
        if path.name.startswith("tokenizer"):
            (plain / path.name).write_bytes(path.read_bytes())
    single = CliRunner().invoke(
        app, ["run", "--model", str(plain), *arguments()[:-1], str(tmp_path / "single")]
    )
    assert single.exit_code == 0, single.output
    ours, alone = read_run(runs / complete.name), read_run(tmp_path / "single")
    assert [task.metrics for task in ours.tasks] == [task.metrics for task in alone.tasks]
    assert any("iteration 1000 of a Megatron training" in note for note in ours.notes)


@pytest.mark.parametrize("write", [write_distributed, write_ranks])
def test_every_prefix_of_a_checkpoints_writing_is_incomplete(tmp_path, config_folders, write):
    """Files arrive one by one, each cut at its middle first; `.metadata` and metadata.json are the last."""
    source, target = write(tmp_path, Training(tiny("llama"), 2, 2)), tmp_path / "training/iter_0001000"
    judge = Completeness("", 0, model_config=str(config_folders["llama"]))
    last = (".metadata", "metadata.json")
    paths = sorted(
        (path for path in source.rglob("*") if path.is_file()), key=lambda path: (path.name in last, path)
    )
    for path in paths:
        content, copy = path.read_bytes(), target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        for share in (content[: len(content) // 2], content):
            copy.write_bytes(share)
            readiness, reason = judge.of(target)
            whole = path == paths[-1] and share is content
            assert (readiness is Readiness.COMPLETE) is whole, reason


def test_a_watch_without_a_configuration_says_what_to_give(tmp_path, arguments):
    write_ranks(tmp_path / "training", Training(tiny("llama")))
    done = CliRunner().invoke(app, ["watch", str(tmp_path / "training"), *arguments(*QUICK)])
    assert "give --model-config" in str(done.exception)
