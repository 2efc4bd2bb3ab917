"""Real workers in real processes, with an engine that fails as a test wants it to."""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from evalsuite.engine.protocol import Begun, Planned, answers_in
from evalsuite.engine.replicas import pace
from evalsuite.engine.replicas.engine import ReplicatedEngine
from evalsuite.engine.replicas.ray_cluster import _refuse_unreachable, connect
from evalsuite.engine.replicas.supervisor import ReplicaConfig
from evalsuite.errors import ModelError, UserError
from evalsuite.progress import WorkerState
from evalsuite.types import Failure
from tests.engine.replicas.faulty import PART, Faults, FaultySetup, Idle, answer, request

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """One for all tests: starting it is most of the time."""
    assert connect(None)
    ray.cloudpickle.register_pickle_by_value(sys.modules[FaultySetup.__module__])
    yield
    ray.shutdown()


class Work:
    """Requests through workers; what came of it."""

    def __init__(
        self,
        folder: Path,
        faults: Faults,
        count: int,
        workers: int = 1,
        answered=(),
        silence: float | None = None,
    ) -> None:
        self.folder = folder
        self.states: list[WorkerState] = []
        setup = FaultySetup(folder, faults)
        engine = ReplicatedEngine(
            setup, ReplicaConfig(workers, patience=120, silence=silence), self.states.append
        )
        self.requests = [request(number) for number in range(count)]
        try:
            self.events = list(engine.score(self.requests, answered))
        finally:
            engine.close()
        self.notes = engine.notes
        self.answers = list(answers_in(self.events))

    @property
    def asked(self) -> Counter:
        """How often each request was answered by a worker."""
        lines = (path.read_text().split() for path in self.folder.glob("*.asked"))
        return Counter(int(number) for some in lines for number in some)

    def failures(self) -> dict[int, str]:
        """Reasons by request, after checking that every other request has its answer, and only one."""
        assert len(self.answers) == len(dict(self.answers))
        failed = {one.context[0]: it.reason for one, it in self.answers if isinstance(it, Failure)}
        right = [(one, answer(one)) for one in self.requests if one.context[0] not in failed]
        assert [pair for pair in sorted(self.answers, key=str) if not isinstance(pair[1], Failure)] == sorted(
            right, key=str
        )
        return failed


def test_workers_share_the_parts_and_answer_as_one_would(tmp_path):
    done = Work(tmp_path, Faults(seconds=0.05), 20 * PART, workers=2)
    assert done.failures() == {}
    assert set(done.asked.values()) == {1}
    last = {state.number: state for state in done.states}
    assert sum(state.answers for state in last.values()) == 20 * PART
    assert all(state.state == "working" and state.answers for state in last.values())
    assert done.events[:2] == [Planned(20 * PART * 2), Begun()]
    assert done.notes == ("answers are made up",)


def test_what_is_answered_is_not_asked_again(tmp_path):
    known = {request(number) for number in (*range(PART), PART + 3)}
    done = Work(tmp_path, Faults(), 2 * PART, answered=known)
    assert {one.context[0] for one, _ in done.answers} == set(range(PART, 2 * PART)) - {PART + 3}
    assert set(done.asked) == {one.context[0] for one, _ in done.answers}


def test_the_part_of_a_lost_worker_is_given_out_again_and_the_log_says_so(tmp_path):
    # The first part's answers need a moment to arrive: those that a process takes with it are asked for
    # again.
    done = Work(tmp_path, Faults(kill_once=frozenset([PART + 1]), seconds=0.5), 4 * PART)
    assert done.failures() == {}
    assert set(done.asked.values()) == {1}
    assert [state.number for state in done.states if state.state == "lost"] == [1]
    [note] = done.notes[1:]
    assert note.startswith("worker 1 (")
    assert note.endswith(f"its part of {PART} requests is retried")


def test_one_poisonous_request_is_found_and_the_others_are_answered(tmp_path):
    done = Work(tmp_path, Faults(refuse=frozenset([PART + 5])), 3 * PART)
    [(number, reason)] = done.failures().items()
    assert (number, reason) == (PART + 5, "failed twice: ValueError: cannot do")
    assert {state.state for state in done.states} == {"waiting for a place", "loading", "working"}


@pytest.mark.slow
def test_a_request_that_takes_its_process_down_is_found_too(tmp_path):
    done = Work(tmp_path, Faults(kill=frozenset([PART + 5]), seconds=0.3), 3 * PART, workers=2)
    assert list(done.failures()) == [PART + 5]
    assert sum(state.state == "lost" for state in done.states) == 2 + 2 + 2


def test_an_error_of_the_model_ends_the_run_with_its_own_sentence(tmp_path):
    with pytest.raises(ModelError, match=r"^These weights are cut off\.$"):
        Work(tmp_path, Faults(model="These weights are cut off."), PART)


def test_a_model_that_cannot_be_loaded_ends_the_run(tmp_path):
    with pytest.raises(ModelError, match=r"^Worker 1 cannot load the model: RuntimeError: no such layer\.$"):
        Work(tmp_path, Faults(at_load="no such layer"), PART)


@pytest.mark.slow
def test_workers_that_are_all_lost_before_they_can_work_end_the_run(tmp_path):
    with pytest.raises(ModelError, match=r"^All workers were lost; .* died.*The answers so far are kept"):
        Work(tmp_path, Faults(at_load="exit"), PART)


def test_requests_that_all_fail_end_the_run(tmp_path):
    with pytest.raises(ModelError, match=r"^The workers fail on every request; .* cannot do\. "):
        Work(tmp_path, Faults(refuse=frozenset(range(99))), 99)


def test_a_worker_with_other_weights_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"has other weights than expected"):
        Work(tmp_path, Faults(identity_differs=True), PART)


def test_a_cluster_without_a_place_for_a_worker_is_not_waited_for_for_ever(tmp_path):
    held = ray.remote(num_cpus=ray.cluster_resources()["CPU"])(Idle).remote()
    ray.get(held.ping.remote())
    engine = ReplicatedEngine(FaultySetup(tmp_path, Faults()), ReplicaConfig(1, patience=0.5))
    try:
        with pytest.raises(ModelError, match="had no free resources for a worker"):
            list(engine.score([request(0)]))
    finally:
        engine.close()
        ray.kill(held)


def test_more_gpus_than_there_are_is_said_in_one_sentence(tmp_path):
    engine = ReplicatedEngine(FaultySetup(tmp_path, Faults()), ReplicaConfig(1, gpus=4))
    with pytest.raises(UserError, match=r"--gpus-per-replica 4: the cluster has 0 GPU"):
        list(engine.score([request(0)]))


def test_without_ray_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'evalsuite\[ray\]'\.$"):
        ReplicatedEngine(FaultySetup(tmp_path, Faults()), ReplicaConfig(1))


def test_an_address_without_a_cluster_is_refused_at_once():
    with pytest.raises(UserError, match=r"^There is no Ray cluster at 127\.0\.0\.1:1: Connection refused\.$"):
        _refuse_unreachable("127.0.0.1:1")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((0, None, None), "--workers must be at least 1, got 0."),
        ((1, None, -1.0), "--gpus-per-replica must not be negative, got -1."),
        ((None, None, 1.0), "--gpus-per-replica goes with --workers or --ray-address."),
    ],
)
def test_options_that_make_no_sense_are_refused(asked, said):
    with pytest.raises(UserError, match=f"^{said}$"):
        ReplicaConfig.asked(*asked)


def test_without_these_options_there_are_no_workers():
    assert ReplicaConfig.asked(None, None, None) is None
    assert ReplicaConfig.asked(2, None, None) == replace(ReplicaConfig(), workers=2)


def test_a_worker_that_hangs_is_ended_and_its_part_given_to_another(tmp_path):
    done = Work(tmp_path, Faults(stop_once=frozenset({3})), 6 * PART, workers=2, silence=5.0)
    assert done.failures() == {}
    [note] = [one for one in done.notes if "lost" in one]
    assert "silent for" in note
    assert f"its part of {PART} requests is retried" in note
    assert sum(state.state == "lost" for state in done.states) == 1


@pytest.mark.slow
@pytest.mark.parametrize("when", ["stop", "init"])
def test_a_worker_that_hangs_before_its_first_word_is_ended(tmp_path, monkeypatch, when):
    monkeypatch.setattr(pace, "AT_START", 20.0)  # a healthy worker on a busy machine needs some of it
    done = Work(tmp_path, Faults(at_start=when), 4 * PART, silence=5.0)
    assert done.failures() == {}
    [note] = [one for one in done.notes if "lost" in one]
    assert "silent for" in note
    assert sum(state.state == "lost" for state in done.states) == 1


def test_a_long_temporary_folder_does_not_keep_ray_from_starting(tmp_path, monkeypatch):
    from evalsuite.engine.replicas.ray_cluster import LONGEST_FOLDER, _short_folder

    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    assert _short_folder() is None
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("slurm_job_tmp_" * 7)))
    folder = _short_folder()
    assert folder is not None
    assert len(folder) <= LONGEST_FOLDER
