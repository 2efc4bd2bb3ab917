"""The curve of a training in a tracker: points in any order, each once, whatever fails or is killed."""

from contextlib import contextmanager

import pytest

from evalsuite.errors import UserError
from evalsuite.report.trackers import send
from evalsuite.report.trackers.curves import STATE, RunPoint, send_points
from evalsuite.report.trackers.tracker import Tracker
from evalsuite.results.runlog import read_run
from evalsuite.results.smoke import SmokeRecord
from tests.cli.conftest import cli
from tests.fabricate import fabricate

__all__ = ["cli"]


class Memory:
    """A tracker that remembers every point it was sent, and is down on demand."""

    def __init__(self, *, tells: bool = True):
        self.tells = tells
        self.down = self.lost = False
        self.rows: dict[tuple[str, str], list[tuple[int, dict[str, float]]]] = {}
        self.opened = 0

    @property
    def tracker(self) -> Tracker:
        return Tracker("json", "memory", lambda log, project, name: None, self.open)

    @contextmanager
    def open(self, project, name, config):
        self.opened += 1
        if self.down:
            raise ConnectionError("nobody is there\nand more")
        yield Sheet(self, self.rows.setdefault((project, name), []))
        if self.lost:
            raise ConnectionError("the answer got lost")


class Sheet:
    def __init__(self, memory, rows):
        self.memory, self.rows = memory, rows

    def known(self, point):
        names = {name for step, scores in self.rows for name in scores if step == point.step}
        return frozenset(names & set(point.scores)) if self.memory.tells else frozenset()

    def add(self, point):
        self.rows.append((point.step, dict(point.scores)))


@pytest.fixture
def memory(monkeypatch):
    memory = Memory()
    monkeypatch.setitem(send.TRACKERS, "memory", memory.tracker)
    return memory


@pytest.fixture
def points(tmp_path):
    """Three checkpoints by their step."""

    def point(step: int, **tasks) -> RunPoint:
        folder = fabricate(
            tmp_path / f"step-{step}",
            tasks or {"quiz": [1.0, 0.0]},
            smoke=SmokeRecord.of(1.0, 0.5),
        )
        return RunPoint(folder, read_run(folder), step)

    return point


def steps(memory) -> list[int]:
    return [step for step, _ in memory.rows["p", "training"]]


def test_points_come_in_any_order_and_each_once(memory, points):
    assert send_points([points(300), points(100)], "memory", "p", "training") == 2
    assert send_points([points(100), points(200), points(300)], "memory", "p", "training") == 1
    assert steps(memory) == [300, 100, 200]
    assert memory.rows["p", "training"][0][1]["quiz/acc"] == 0.5
    assert memory.rows["p", "training"][0][1]["smoke_test/english_bits_per_byte"] == 1.0


def test_without_anything_new_the_tracker_is_not_asked(memory, points):
    for _ in range(3):
        send_points([points(100)], "memory", "p", "training")
    assert memory.opened == 1


def test_another_project_or_run_is_another_curve(memory, points):
    for project, name in (("p", "a"), ("p", "b"), ("q", "a")):
        assert send_points([points(100)], "memory", project, name) == 1


def test_a_tracker_that_is_down_gets_the_points_later(memory, points):
    memory.down = True
    with pytest.raises(UserError, match=r"^memory rejected the run: nobody is there$"):
        send_points([points(100)], "memory", "p", "training")
    memory.down = False
    assert send_points([points(100), points(200)], "memory", "p", "training") == 2


def test_a_kill_between_the_tracker_and_the_state_sends_nothing_twice(memory, points):
    memory.lost = True
    with pytest.raises(UserError, match="the answer got lost"):
        send_points([points(100)], "memory", "p", "training")
    memory.lost = False
    assert send_points([points(100)], "memory", "p", "training") == 0
    assert steps(memory) == [100]
    assert send_points([points(100)], "memory", "p", "training") == 0
    assert memory.opened == 2  # now the state knows


def test_a_damaged_state_is_asked_again(memory, points):
    send_points([points(100)], "memory", "p", "training")
    (points(100).folder / STATE).write_text('{"memory": 3')
    assert send_points([points(100)], "memory", "p", "training") == 0
    assert steps(memory) == [100]


def test_scores_of_a_task_that_was_added_later_follow(memory, points):
    send_points([points(100)], "memory", "p", "training")
    assert send_points([points(100, quiz=[1.0, 0.0], more=[1.0, 1.0])], "memory", "p", "training") == 1
    assert {name.partition("/")[0] for name in memory.rows["p", "training"][1][1]} == {"more"}


def test_report_catches_up_from_the_run_folders(memory, points, cli):
    folders = [points(step).folder for step in (200, 100)]
    done = cli("report", *folders, "--log", "memory", "--project", "p", "--tracker-run", "training")
    assert done.code == 0, done.err
    assert sorted(steps(memory)) == [100, 200]
    one = points(100).folder
    done = cli("report", one, "--log", "memory", "--project", "p", "--tracker-run", "other", "--step", 7)
    assert done.code == 0, done.err
    assert memory.rows["p", "other"][0][0] == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--log", "memory", "--step", "3"], "--tracker-run"),
        (["--log", "memory", "--tracker-run", "t"], "has no training step"),
        (["--log", "memori", "--tracker-run", "t"], "Did you mean memory?"),
        (["--log", "memory", "--tracker-run", "t", "--step", "-1"], "--step"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, words, memory, tmp_path, cli):
    done = cli("report", fabricate(tmp_path / "final", {"quiz": [1.0, 0.0]}), *arguments)
    assert done.code in (2, 3)
    assert words in done.err
    assert memory.opened == 0


def test_two_runs_have_two_steps(memory, points, cli):
    more = ["--log", "memory", "--tracker-run", "t", "--step", 3]
    done = cli("report", points(100).folder, points(200).folder, *more)
    assert (done.code, "2 are given" in done.err) == (3, True)
