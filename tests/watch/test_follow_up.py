"""What `watch` does after a checkpoint: faults of its export, trackers, verdicts that are still owed."""

import pytest

from evalsuite.report.trackers import send
from evalsuite.results.runlog import read_run
from evalsuite.results.smoke import SmokeRecord
from evalsuite.watch.exports import export_fault
from evalsuite.watch.runs import SeriesFolder
from tests.fabricate import fabricate
from tests.report.test_curves import Memory
from tests.watch.test_watch import POLICY, runs_in, training, watch

__all__ = ["training"]


@pytest.fixture
def memory(monkeypatch):
    memory = Memory()
    monkeypatch.setitem(send.TRACKERS, "memory", memory.tracker)
    return memory


def test_a_random_checkpoint_is_evaluated_and_named_as_a_wrong_export(training, arguments, bench, tmp_path):
    told = tmp_path / "told"
    more = ("--pattern", "step-100", "--on-fail", f"echo $EVALSUITE_CHECKPOINT >> {told}")
    done = watch(training, arguments, *more, smoke=True)
    assert done.exit_code == 1
    assert done.output.count("The smoke test failed") == 1
    assert done.output.index("step-100: The smoke test failed") < done.output.index("step-100: quiz")
    assert told.read_text().split() == [str(training / "step-100")]
    assert list(runs_in(bench)) == ["step-100"]
    assert watch(training, arguments, *more, smoke=True).exit_code == 1
    assert watch(training, arguments, *more).exit_code == 0  # --no-smoke
    assert len(told.read_text().split()) == 1


def test_a_checkpoint_that_falls_behind_the_step_before_is_named(tmp_path):
    records = {100: (1.4, 1.0), 200: (1.2, 0.9), 300: (1.8, 0.9), 400: (1.7, 0.9)}
    for step, numbers in records.items():
        fabricate(tmp_path / f"step-{step}", {"quiz": [1.0, 0.0]}, smoke=SmokeRecord.of(*numbers))
    series = SeriesFolder(tmp_path, ())
    faults = {
        step: export_fault(series, f"step-{step}", read_run(tmp_path / f"step-{step}")) for step in records
    }
    assert [step for step, fault in faults.items() if fault] == [300]
    assert faults[300].startswith("Since step-200, bits per byte rose of plain English from 1.20 to 1.80")


def test_a_tracker_that_is_down_holds_nobody_up_and_is_caught_up(training, arguments, bench, memory):
    memory.down = True
    done = watch(training, arguments, "--log", "memory", "--project", "p")
    assert done.exit_code == 0
    assert (
        "memory rejected the run: nobody is there; its points are kept and sent again later." in done.output
    )
    assert list(runs_in(bench)) == ["step-100", "step-200", "step-300"]
    memory.down = False
    assert watch(training, arguments, "--log", "memory", "--project", "p").exit_code == 0
    [rows] = [memory.rows["p", "training"]]
    assert sorted(step for step, _ in rows) == [100, 200, 300]
    scores = runs_in(bench)
    assert all(scores[f"step-{step}"]["quiz"] == row["quiz/acc_norm"] for step, row in rows)
    watch(training, arguments, "--log", "memory", "--project", "p")
    assert len(rows) == 3


def test_an_unknown_tracker_is_said_before_anything_is_evaluated(training, arguments, bench, cli):
    done = cli("watch", training, *arguments("--once", "--settle", "0", "--log", "wanbd"))
    assert (done.code, "Did you mean wandb?" in done.err) == (2, True)
    assert not (bench.folder / "runs").exists()


def test_a_verdict_that_a_killed_watch_owed_is_given(training, arguments, bench, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    assert watch(training, arguments).exit_code == 0  # as if it had been killed before each gate
    done = watch(training, arguments, "--policy", policy)
    gates = {path.parent.name for path in bench.folder.rglob("gate.json")}
    assert gates == {"step-200", "step-300"}, done.output


def test_the_plan_is_made_once_for_checkpoints_of_one_shape(training, arguments, monkeypatch):
    from evalsuite.engine.planning import plan

    made = []
    original = plan.plan_packs
    monkeypatch.setattr(plan, "plan_packs", lambda *args: made.append(1) or original(*args))
    assert watch(training, arguments).exit_code == 0
    assert len(made) == 1


def test_the_first_shard_alone_tests_the_model(training, arguments, bench):
    for shard in ("0/2", "1/2"):
        watch(training, arguments, "--pattern", "step-100", "--shard", shard, smoke=True)
    logs = [read_run(bench.folder / "runs" / f"step-100-shard-{index}-of-2") for index in (0, 1)]
    assert [log.status for log in logs] == ["shard", "shard"]
    assert (logs[0].smoke.passed, logs[1].smoke) == (False, None)
