"""`watch` and `sweep` over checkpoints of a tiny model."""

import json
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalsuite.cli import app
from evalsuite.results.runlog import read_run
from evalsuite.watch import loop
from evalsuite.watch.complete import Completeness, Readiness
from evalsuite.watch.found import found_in
from evalsuite.watch.loop import folder_name
from evalsuite.watch.options import WatchOptions
from tests.cli.tiny_run import process
from tests.runs.bench import ADDRESSES, oracle
from tests.watch.writing import rotate, write_slowly

QUICK = ("--once", "--settle", "0", "--poll", "0.1", "--quiet")


@pytest.fixture
def training(tmp_path, made) -> Path:
    """A folder with three complete checkpoints, and things that are none."""
    folder = tmp_path / "training"
    for step, source in made.items():
        shutil.copytree(source, folder / f"step-{step}")
    (folder / "logs").mkdir()
    (folder / "trainer_state.json").write_text("{}")
    return folder


def watch(training: Path, arguments, *more: object, smoke: bool = False):
    return CliRunner().invoke(app, ["watch", str(training), *arguments(*QUICK, *more, smoke=smoke)])


def runs_in(bench) -> dict[str, dict[str, float]]:
    """Scores by checkpoint."""
    found = {}
    for path in sorted((bench.folder / "runs").glob("*/run.json")):
        log = read_run(path)
        found[path.parent.name] = {task.name: task.metrics[task.headline].value for task in log.tasks}
    return found


def test_every_checkpoint_is_evaluated_once_and_as_a_single_run_scores_it(
    training, arguments, bench, tmp_path, monkeypatch
):
    done = watch(training, arguments)
    assert done.exit_code == 0, done.output
    assert list(runs_in(bench)) == ["step-100", "step-200", "step-300"]
    single = CliRunner().invoke(
        app, ["run", "--model", str(training / "step-200"), *arguments()[:-1], str(tmp_path / "single")]
    )
    assert single.exit_code == 0, single.output
    alone = read_run(tmp_path / "single")
    assert runs_in(bench)["step-200"] == {
        task.name: task.metrics[task.headline].value for task in alone.tasks
    }
    monkeypatch.setattr(loop.api, "run_in_a_series", None)  # nothing is left to evaluate
    again = watch(training, arguments)
    assert (again.exit_code, again.output) == (0, "")


def test_prompts_are_made_once_for_all_checkpoints(training, arguments, monkeypatch):
    from evalsuite.runs import session

    made = []
    original = session.build_requests
    monkeypatch.setattr(session, "build_requests", lambda *args: made.append(1) or original(*args))
    assert watch(training, arguments).exit_code == 0
    assert len(made) == 1


def test_the_trend_is_renewed_after_each_checkpoint(training, arguments, bench):
    assert watch(training, arguments).exit_code == 0
    trend = json.loads((bench.folder / "runs" / "trend.json").read_text("utf-8"))
    assert [each["step"] for each in trend["checkpoints"]] == [100, 200, 300]
    page = (bench.folder / "runs" / "trend.html").read_text("utf-8")
    assert page.count("<svg") == len(trend["tasks"]) + 1
    assert "http" not in page.replace("http-equiv", "")


def test_a_checkpoint_without_its_last_shard_is_not_read(training, arguments, bench):
    last = sorted((training / "step-200").glob("*.safetensors"))[-1]
    whole = last.read_bytes()
    last.write_bytes(whole[:-1])
    done = watch(training, arguments)
    assert done.exit_code == 0
    assert "step-200 is not complete: Weight file" in done.output
    assert list(runs_in(bench)) == ["step-100", "step-300"]
    last.write_bytes(whole)
    assert watch(training, arguments).exit_code == 0
    assert list(runs_in(bench)) == ["step-100", "step-200", "step-300"]


def test_a_checkpoint_that_cannot_be_loaded_holds_nobody_up(training, arguments, bench):
    config = json.loads((training / "step-100" / "config.json").read_text("utf-8"))
    (training / "step-100" / "config.json").write_text(json.dumps(config | {"model_type": "nobody_knows"}))
    done = watch(training, arguments)
    assert done.exit_code == 1
    assert "step-100 was not evaluated: Model" in done.output
    assert list(runs_in(bench)) == ["step-200", "step-300"]
    (training / "step-100" / "config.json").write_text(json.dumps(config))
    assert watch(training, arguments).exit_code == 0
    assert list(runs_in(bench)) == ["step-100", "step-200", "step-300"]


def test_a_file_that_the_trainer_writes_last_is_waited_for(training, arguments, bench):
    (training / "step-300" / "done").write_text("")
    done = watch(training, arguments, "--done-file", "done")
    assert "step-100 is not complete: it has no done yet" in done.output
    assert list(runs_in(bench)) == ["step-300"]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--order", "newest"], ["step-300", "step-200", "step-100"]),
        (["--every", "200"], ["step-200"]),
        (["--pattern", "*-[13]00"], ["step-100", "step-300"]),
    ],
)
def test_which_checkpoints_and_in_which_order(options, names, training, arguments):
    done = watch(training, arguments, *options)
    assert [line.split(":")[0] for line in done.output.splitlines() if line.startswith("step")] == names


POLICY = """
default: {tier: critical, margin: 0.9, discordance: 0.01}
pooled: null
power: 0.51
"""


def test_each_checkpoint_is_judged_against_the_previous_one(training, arguments, bench, tmp_path):
    told, policy = tmp_path / "told", tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    command = f"echo $EVALSUITE_RUN >> {told}"
    more = ("--baseline", "previous", "--policy", policy, "--junit", "--on-fail", command)
    done = watch(training, arguments, *more)
    files = {path.parent.name: path for path in sorted(bench.folder.rglob("gate.json"))}
    assert list(files) == ["step-200", "step-300"], done.output
    gates = {name: json.loads(path.read_text("utf-8")) for name, path in files.items()}
    assert Path(gates["step-300"]["baseline"]["path"]).name == "step-200"
    assert (bench.folder / "runs" / "step-300" / "gate.xml").is_file()
    outcomes = {gate["outcome"] for gate in gates.values()}
    assert done.exit_code == (1 if "FAIL" in outcomes else 2 if "INCONCLUSIVE" in outcomes else 0)
    assert told.exists() == ("FAIL" in outcomes)
    before = {path: path.stat().st_mtime_ns for path in files.values()}
    assert watch(training, arguments, *more).exit_code == done.exit_code
    assert before == {path: path.stat().st_mtime_ns for path in files.values()}


def test_a_failed_gate_runs_the_users_command_once(training, arguments, bench, tmp_path):
    """The baseline is a run that is right on every document."""
    bench.execute(oracle([bench.prepared(ADDRESSES[0])]), ADDRESSES[0])
    told, policy = tmp_path / "told", tmp_path / "policy.yaml"
    policy.write_text(POLICY.replace("0.9", "0.3"))
    more = ("--baseline", bench.out, "--policy", policy, "--on-fail", f"echo $EVALSUITE_CHECKPOINT >> {told}")
    done = watch(training, arguments, "--pattern", "step-100", *more)
    assert done.exit_code == 1, done.output
    assert "step-100: FAIL against" in done.output
    watch(training, arguments, "--pattern", "step-100", *more)
    assert told.read_text().split() == [str(training / "step-100")]


def test_a_sweep_evaluates_the_models_of_a_list(training, arguments, bench):
    models = [str(training / "step-300"), str(training / "step-100")]
    done = CliRunner().invoke(app, ["sweep", *models, *arguments("--quiet")])
    assert done.exit_code == 0, done.output
    assert set(runs_in(bench)) == {folder_name(model) for model in models}
    assert (bench.folder / "runs" / "trend.html").is_file()


@pytest.mark.parametrize("command", [["sweep", "./8b"], ["watch", ".", *QUICK, "--pattern", "8b"]])
def test_a_folder_with_the_name_of_an_alias_is_the_folder(command, training, arguments, bench, monkeypatch):
    (training / "step-100").rename(training / "8b")
    monkeypatch.chdir(training)
    done = CliRunner().invoke(app, [*command, *arguments("--quiet")])
    assert done.exit_code == 0, done.output
    (run,) = (bench.folder / "runs").glob("*/run.json")
    assert json.loads(run.read_text())["spec"]["model"] == "./8b"


def test_a_sweep_says_why_a_model_cannot_be_read(arguments, tmp_path):
    models = [str(tmp_path / "nowhere"), "org/name@step1000"]
    done = CliRunner().invoke(app, ["sweep", *models, *arguments("--quiet")])
    assert done.exit_code == 1, done.output
    assert f"nowhere was not evaluated: Model folder or file {models[0]} does not exist." in done.output
    assert "org-name@step1000 was not evaluated: Model 'org/name@step1000'" in done.output


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--order", "newst"], "Did you mean newest?"),
        (["--policy", "nowhere.yaml"], "nowhere.yaml"),
        (["--include", "nowhere.py"], "nowhere.py"),
    ],
)
def test_a_mistake_gives_one_sentence(more, words, training, arguments, cli):
    done = cli("watch", training, *arguments(*QUICK, *more))
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err


def test_a_folder_that_is_not_there_is_named(arguments, bench, cli, tmp_path):
    done = cli("watch", tmp_path / "nowhere", *arguments(*QUICK))
    assert done.code == 2
    assert "nowhere cannot be read" in done.err
    assert not (bench.folder / "runs").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(training, cli, tmp_path):
    (tmp_path / "file").touch()
    done = cli("watch", training, "--tasks", "arc_easy", "--out", tmp_path / "file" / "runs", *QUICK)
    assert done.code == 2
    assert "cannot be written: Not a directory." in done.err


def test_a_checkpoint_must_not_have_changed_for_a_while(made, tmp_path):
    shutil.copytree(made[100], tmp_path / "step-1")
    now = [0.0]
    judge = Completeness("", 5.0, lambda: now[0])
    assert judge.of(tmp_path / "step-1")[0] is Readiness.SETTLING
    now[0] = 4.0
    (tmp_path / "step-1" / "tokenizer_config.json").write_text("{}")
    assert judge.of(tmp_path / "step-1")[0] is Readiness.SETTLING
    now[0] = 8.9
    assert judge.of(tmp_path / "step-1")[0] is Readiness.SETTLING
    now[0] = 9.0
    assert judge.of(tmp_path / "step-1")[0] is Readiness.COMPLETE
    rotate(tmp_path / "step-1")
    assert judge.of(tmp_path / "step-1") == (Readiness.INCOMPLETE, "it is gone")


def test_steps_order_the_checkpoints_whatever_their_names(tmp_path):
    for name in ("checkpoint-1000", "checkpoint-200", "iter_0000300", "logs", ".hidden-step-1"):
        (tmp_path / name).mkdir()
    assert [each.step for each in found_in(tmp_path, WatchOptions())] == [200, 300, 1000]


@pytest.mark.slow
def test_it_is_killed_a_hundred_times_while_a_trainer_writes_and_deletes(made, bench, arguments, tmp_path):
    """Each finished checkpoint is evaluated once, scores are those of single runs, no half is read."""
    training = tmp_path / "training"
    training.mkdir()
    whole = [100 * number for number in range(1, 9)]
    sources = {step: made[(100, 200, 300)[step // 100 % 3]] for step in whole}

    def train() -> None:
        for step in whole:
            write_slowly(sources[step], training / f"step-{step}", 0.2)
            write_slowly(sources[step], training / f"step-{step + 50}", 0.05, stop_after=5)  # never finished
            if step >= 500:
                rotate(training / f"step-{step - 350}")  # a half of an earlier one

    trainer = threading.Thread(target=train)
    trainer.start()
    generator, killed = random.Random(0), 0
    command = ["watch", str(training), *arguments("--settle", "0.5", "--poll", "0.2", "--quiet")]
    while killed < 100:
        started = process(*command, PYTHONDONTWRITEBYTECODE="")
        time.sleep(generator.uniform(0.2, 9.0))
        started.send_signal(generator.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        started.wait(60)
        killed += 1
    trainer.join()
    last = process(*command, "--once")
    _, complaint = last.communicate(timeout=600)
    assert last.returncode == 0, complaint
    found = runs_in(bench)
    assert list(found) == [f"step-{step}" for step in whole]
    for step in whole:
        alone = tmp_path / f"alone-{step}"
        if not alone.exists():
            done = CliRunner().invoke(
                app, ["run", "--model", str(sources[step]), *arguments()[:-1], str(alone)]
            )
            assert done.exit_code == 0, done.output
        log = read_run(alone)
        assert found[f"step-{step}"] == {task.name: task.metrics[task.headline].value for task in log.tasks}
    assert not list((bench.folder / "runs").glob("*50"))
    assert os.path.exists(bench.folder / "runs" / "trend.html")
