"""Progress: lines now and then, or a bar on a terminal."""

import io
import sys

import pytest

from evalsuite.cli import progress
from evalsuite.cli.progress import live_progress
from evalsuite.progress import Stage, WorkerState, verdicts_of

ERASED, CURSOR_ON = "\x1b[2K", "\x1b[?25h"


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests wind."""

    class Clock:
        now = 100.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def lines(capsys):
    """Lines that a standard error that is no terminal got."""
    return lambda: capsys.readouterr().err.splitlines()


def test_each_stage_has_a_line(clock, lines):
    with live_progress() as shown:
        shown.stage(Stage("preparing"))
        shown.stage(Stage("scoring"))
    assert lines() == ["evalsuite: preparing ...", "evalsuite: scoring ..."]


def test_a_line_now_and_then_tells_rate_and_time_left(clock, lines):
    with live_progress() as shown:
        shown.stage(Stage("scoring"))
        for _ in range(30):
            clock.now += 1.0
            shown.advance(100, 10_000)
    assert lines()[1:] == [
        "evalsuite: scoring: 1,000 of 10,000 tokens, 100 a second, about 90 s left",
        "evalsuite: scoring: 2,000 of 10,000 tokens, 100 a second, about 80 s left",
        "evalsuite: scoring: 3,000 of 10,000 tokens, 100 a second, about 70 s left",
    ]


def test_the_end_of_a_stage_is_told_at_once(clock, lines):
    with live_progress() as shown:
        shown.stage(Stage("scoring"))
        clock.now += 2.0
        shown.advance(500, 500)
    assert lines()[1:] == ["evalsuite: scoring: 500 of 500 tokens, 250 a second, about 0 s left"]


def test_a_stage_starts_to_count_anew(clock, lines):
    with live_progress() as shown:
        for name in ("scoring", "generating"):
            shown.stage(Stage(name))
            clock.now += 1.0
            shown.advance(10, 10)
    assert lines()[-1] == "evalsuite: generating: 10 of 10 tokens, 10 a second, about 0 s left"


def test_a_plan_without_tokens_divides_nothing_by_zero(clock, lines):
    with live_progress() as shown:
        shown.stage(Stage("scoring"))
        shown.advance(0, 0)
        clock.now += 60
        shown.advance(0, 100)
    assert not any("nan" in line or "inf" in line for line in lines())


def test_workers_are_told_of_when_they_get_on_and_counted_now_and_then(clock, lines):
    with live_progress() as shown:
        shown.stage(Stage("scoring"))
        shown.worker(WorkerState(1, "loading", "node, process 7"))
        shown.worker(WorkerState(1, "working", "node, process 7"))
        shown.worker(WorkerState(1, "working", "node, process 7", answers=1200, tokens=10))
        clock.now += 2.0
        shown.advance(10, 10)
        shown.worker(WorkerState(1, "lost", "node, process 7", answers=1200, tokens=10))
    assert lines()[1:] == [
        "evalsuite: worker 1 (node, process 7): loading",
        "evalsuite: worker 1 (node, process 7): working",
        "evalsuite: scoring: 10 of 10 tokens, 5 a second, about 0 s left",
        "evalsuite: answers by worker: 1: 1,200",
        "evalsuite: worker 1 (node, process 7): lost after 1,200 answers",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Standard error as a terminal of 120 columns; taken into use by the test, for pytest changes it too."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")

    def use() -> Terminal:
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return use


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end(terminal):
    written = terminal()
    with live_progress() as shown:
        shown.stage(Stage("scoring"))
        shown.advance(250, 1000)
        shown.stage(Stage("generating"))
        shown.advance(30, 60)
        shown._bars.refresh()
    drawn = written.getvalue()
    assert "generating" in drawn
    assert "30 / 60 tokens" in drawn
    assert ERASED in drawn.rpartition("30 / 60 tokens")[2]


def test_each_worker_has_a_bar_of_its_share_until_the_stage_ends(terminal):
    written = terminal()
    with live_progress() as shown:
        shown.stage(Stage("scoring"))
        shown.advance(400, 1000)
        shown.worker(WorkerState(3, "working", "node", answers=20, tokens=400))
        shown._bars.refresh()
        drawn = written.getvalue()
        shown.stage(Stage("judging"))
        written.truncate(0)
        shown._bars.refresh()
        after = written.getvalue()
    assert "400 / 1,000 tokens" in drawn.rpartition("worker 3 working, 20 answers")[2]
    assert "judging" in after
    assert "worker 3" not in after


def interrupted() -> None:
    with live_progress() as shown:
        shown.stage(Stage("scoring"))
        raise KeyboardInterrupt


def test_a_bar_that_is_interrupted_gives_the_cursor_back(terminal):
    written = terminal()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert CURSOR_ON in written.getvalue()


def test_verdicts_are_a_stage_of_their_own_that_begins_with_the_first(capsys):
    with live_progress() as progress:
        on_verdicts = verdicts_of(progress, "math")
        assert capsys.readouterr().err == ""
        on_verdicts(1, 2)
        on_verdicts(1, 2)
    begun, done = capsys.readouterr().err.splitlines()
    assert begun == "evalsuite: judging math ..."
    assert done.startswith("evalsuite: judging math: 2 of 2 texts, ")
