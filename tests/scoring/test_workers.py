"""Scoring processes survive whatever a call does to them, and each call gets its own verdict."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalsuite.scoring import workers
from evalsuite.scoring.workers import ScorerFailed, ScorerProcess, TextAtFault, call_all

ACT = "strange_scorers:act"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The scoring processes find `strange_scorers.py`."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.fixture
def worker():
    worker = ScorerProcess(ACT, limit=1.0, patience=60.0)
    yield worker
    worker.close()


@pytest.fixture
def impatient():
    """Its clock is short: for calls that use no CPU time."""
    worker = ScorerProcess(ACT, limit=30.0, patience=0.1)
    yield worker
    worker.close()


def test_verdicts_come_in_the_order_of_the_calls():
    calls = [("sleep", 0.3 if place == 0 else 0.0) for place in range(20)]
    calls[5:] = [("return", place) for place in range(5, 20)]
    assert call_all(ACT, calls, workers=2) == [0.3, 0.0, 0.0, 0.0, 0.0, *range(5, 20)]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("spin", "used up 1 s of CPU time"),
        ("huge power", "used up 1 s of CPU time"),
        ("die", "process died"),
        ("raise", "raised ZeroDivisionError: division by zero"),
        ("exit", "raised SystemExit: enough"),
        ("eat memory", "used up 4 GiB of memory"),
        ("no json", "process died"),
    ],
)
def test_a_call_that_goes_wrong_fails_alone(worker, what, said):
    assert worker.call(["return", 1]) == 1
    with pytest.raises(ScorerFailed, match=said):
        worker.call([what])
    assert worker.call(["return", 2]) == 2


def test_limits_of_cpu_time_and_memory_are_the_texts_fault(worker):
    for what, fault in (("spin", True), ("eat memory", True), ("raise", False)):
        with pytest.raises(ScorerFailed) as failure:
            worker.call([what])
        assert isinstance(failure.value, TextAtFault) is fault


def test_each_call_has_its_own_cpu_time(worker):
    assert [worker.call(["work", 0.6]) for _ in range(4)] == [0.6] * 4


def test_a_hanging_call_ends_by_the_clock_and_its_process_with_it(impatient):
    pid = impatient.call(["pid"])
    began = time.monotonic()
    with pytest.raises(ScorerFailed, match="no verdict in 3 s") as failure:
        impatient.call(["hang"])
    assert not isinstance(failure.value, TextAtFault)
    assert 2.9 < time.monotonic() - began < 12
    assert not Path(f"/proc/{pid}").exists()


def test_none_of_the_failures_ends_the_others():
    wrong = ["spin", "die", "raise", "exit", "no json", "eat memory"]
    calls = [call for what in wrong for call in (("return", what), (what, None))] + [("return", "last")]
    verdicts = call_all(ACT, calls, limit=1.0, workers=2)
    assert verdicts[::2] == [*wrong, "last"]
    assert all(isinstance(one, ScorerFailed) for one in verdicts[1::2])


def test_a_process_that_died_after_its_verdict_costs_the_next_call_nothing(worker):
    first = worker.call(["pid"])
    assert worker.call(["die later"]) is None
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert worker.call(["return", "x"]) == "x"
    assert worker.call(["pid"]) != first


def test_one_process_answers_call_after_call(worker):
    assert worker.call(["pid"]) == worker.call(["pid"])


@pytest.mark.parametrize("size", [1 << 16, 5 << 20])
def test_megabytes_pass_in_both_directions(worker, size):
    assert worker.call(["return", "y" * size]) == "y" * size
    assert worker.call(["megabytes", size]) == "x" * size


def test_what_a_library_prints_is_not_a_verdict(worker):
    assert worker.call(["print", 7]) == 7


def test_a_scorer_that_cannot_start_fails_every_call_and_is_not_started_for_each_call(monkeypatch):
    starts = []
    start = workers.subprocess.Popen
    monkeypatch.setattr(
        workers.subprocess, "Popen", lambda *given, **more: starts.append(given) or start(*given, **more)
    )
    verdicts = call_all("strange_scorers:missing", [["a"]] * 50, workers=2)
    assert all(isinstance(one, ScorerFailed) for one in verdicts)
    assert "could not start: AttributeError" in str(verdicts[0])
    assert str(verdicts[-1]) == "the scorer's process failed to start 3 times"
    assert 3 <= len(starts) <= 6, "a worker that has given up may answer the calls that the other still has"


def test_files_in_the_working_folder_are_not_the_scorers_modules(monkeypatch, tmp_path):
    (tmp_path / "evalsuite").mkdir()
    (tmp_path / "evalsuite/__init__.py").touch()
    (tmp_path / "json.py").write_text("raise SystemExit('read from the working folder')")
    monkeypatch.chdir(tmp_path)
    assert call_all(ACT, [("return", 1)]) == [1]


def test_packages_of_a_given_path_are_imported_first(tmp_path):
    (tmp_path / "strange_scorers.py").write_text("def act(*arguments): return 'another version'\n", "utf-8")
    assert call_all(ACT, [("sleep", 0.0)], path=(str(tmp_path),)) == ["another version"]


def test_no_process_outlives_the_calls():
    pids = call_all(ACT, [("pid", None)] * 6, workers=2)
    assert 1 <= len(set(pids)) <= 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_no_calls_are_no_verdicts():
    assert call_all(ACT, []) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def echo():
    """One process for all examples of a property."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        worker = ScorerProcess(ACT, limit=10.0)
        worker.call(["return", 0])
    yield worker
    worker.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=json_values)
def test_arguments_and_verdicts_of_any_json_value_arrive_as_they_are(echo, value):
    assert echo.call(["return", value]) == json.loads(json.dumps(value))


def test_each_verdict_and_each_failure_is_told_as_it_comes():
    told = []
    calls = [("return", "x"), ("raise", None), ("return", "y")]
    call_all(ACT, calls, limit=5.0, workers=1, on_verdict=lambda: told.append(None))
    assert len(told) == 3
