"""A run from end to end, with engines whose right score is known: whatever happens, the score is exact or
absent."""

import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from evalsuite.results.store import ResponseStore
from evalsuite.types import Failure
from tests.runs.bench import (
    ADDRESSES,
    DOCUMENTS,
    PLUGIN,
    Bench,
    ScriptedEngine,
    oracle,
    read_json,
    write_data,
)

METRICS = {"quiz": "acc", "quiz:letters": "acc", "pairs": "acc", "sums": "exact_match"}


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench.make(tmp_path)


def samples(bench: Bench, name: str) -> list[dict]:
    return pq.read_table(bench.out / "samples" / f"{name.replace(':', '.')}.parquet").to_pylist()


def test_an_engine_that_knows_everything_scores_one(bench):
    log = bench.execute(oracle([bench.prepared(address) for address in ADDRESSES]), *ADDRESSES)
    assert log.status == "complete"
    assert [task.name for task in log.tasks] == list(ADDRESSES)
    for task in log.tasks:
        assert {name: metric.value for name, metric in task.metrics.items()} == dict.fromkeys(
            task.metrics, 1.0
        )
        assert task.counts.scored == DOCUMENTS


@pytest.mark.parametrize("wrong", [{0}, set(range(0, 16, 2)), set(range(15))])
def test_an_engine_that_errs_on_a_share_scores_the_rest_exactly(bench, wrong):
    log = bench.execute(oracle([bench.prepared(one) for one in ADDRESSES], wrong), *ADDRESSES)
    for task in log.tasks:
        assert task.metrics[METRICS[task.name]].value == (DOCUMENTS - len(wrong)) / DOCUMENTS
        verdicts = {row["doc"]: row["metrics"][0]["value"] for row in samples(bench, task.name)}
        assert {doc for doc, value in verdicts.items() if value == 0.0} == wrong


def test_an_engine_that_is_always_wrong_scores_nothing(bench):
    log = bench.execute(oracle([bench.prepared(one) for one in ADDRESSES], range(99)), *ADDRESSES)
    assert [task.metrics[METRICS[task.name]].value for task in log.tasks] == [0.0] * 4


def test_a_limit_takes_the_first_documents(bench):
    from evalsuite.checkpoints import ModelFiles
    from evalsuite.results.run_spec import RunSpec
    from evalsuite.runs.execute import execute
    from evalsuite.runs.options import Execution

    tasks = bench.select("pairs")
    spec = RunSpec(tasks=tuple(one.address for one in tasks), model="m", limit=4)
    engine = oracle([bench.prepared("pairs")], wrong={1})
    execution = Execution(bench.out, data_dir=bench.data)
    log = execute(spec, tasks, ModelFiles("m", Path("nowhere")), execution, engine=engine)
    assert log.task("pairs").metrics["acc"].value == 0.75
    assert [row["doc"] for row in samples(bench, "pairs")] == [0, 1, 2, 3]


def broken(bench, times: str = "7") -> ScriptedEngine:
    """Knows everything, but fails on the documents whose text has a `7`."""
    knows = oracle([bench.prepared(address) for address in ADDRESSES])
    fail = Failure("out of memory: no room for one row")
    return ScriptedEngine(
        likelihood=lambda text: fail if times in text else knows.likelihood(text),
        text=lambda context: fail if context.endswith("7 + 3 =") else knows.text(context),
    )


def test_a_failure_leaves_no_score_and_a_rerun_asks_only_what_failed(bench):
    log = bench.execute(broken(bench), *ADDRESSES)
    assert log.status == "incomplete"
    for task in log.tasks:
        assert task.metrics == {}
        assert task.counts.failed + task.counts.scored == DOCUMENTS
        assert task.counts.failed > 0
        assert "have no verdict" in task.problem
        assert "out of memory: no room for one row" in task.problem
    whole = oracle([bench.prepared(address) for address in ADDRESSES])
    again = bench.execute(whole, *ADDRESSES)
    assert again.status == "complete"
    assert all(metric.value == 1.0 for task in again.tasks for metric in task.metrics.values())
    failed = [
        request
        for request in whole.asked
        if "7" in whole.tokenizer.decode(request.context)
        or "7" in whole.tokenizer.decode(getattr(request, "continuation", ()))
    ]
    assert failed == whole.asked


def test_allowed_failures_are_scored_with_the_count_beside_them(bench):
    log = bench.execute(broken(bench), *ADDRESSES, allow_failures=True)
    assert log.status == "complete"
    for task in log.tasks:
        assert all(metric.value == 1.0 for metric in task.metrics.values())
        assert all(metric.n == task.counts.scored < DOCUMENTS for metric in task.metrics.values())
        assert "have no verdict" in task.problem
    table = (bench.out / "table.md").read_text("utf-8")
    assert f"{log.task('sums').counts.scored}/16" in table


def test_failures_that_were_allowed_once_are_tried_again(bench):
    bench.execute(broken(bench), "sums", allow_failures=True)
    engine = broken(bench)
    log = bench.execute(engine, "sums")
    assert (log.status, log.task("sums").metrics) == ("incomplete", {})
    assert len(engine.asked) == 1


def test_an_engine_that_crashes_keeps_what_it_had_answered(bench):
    knows = oracle([bench.prepared("quiz")])
    left = [30]

    def likelihood(text):
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("CUDA error: device-side assert triggered")
        return knows.likelihood(text)

    with pytest.raises(RuntimeError, match="device-side assert"):
        bench.execute(ScriptedEngine(likelihood=likelihood), "quiz")
    stopped = read_json(bench.out / "run.json")
    assert (stopped["status"], stopped["tasks"]) == ("running", [])
    store = ResponseStore(bench.out / "responses.sqlite")
    assert len(store) == 28  # seven blocks of four; the eighth was in flight
    store.close()
    again = oracle([bench.prepared("quiz")])
    log = bench.execute(again, "quiz")
    assert log.task("quiz").metrics["acc"].value == 1.0
    assert len(again.asked) == 3 * DOCUMENTS - 28


def pretend(tmp_path, monkeypatch, version):
    """Another transformers, as far as the packages' metadata tell."""
    folder = tmp_path / version / f"transformers-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: transformers\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(folder.parent))


def test_answers_of_sessions_with_other_versions_are_told_in_log_and_table(bench, tmp_path, monkeypatch):
    knows = oracle([bench.prepared("quiz")])
    pretend(tmp_path, monkeypatch, "5.18.0")
    left = [30]

    def likelihood(text):
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("stopped")
        return knows.likelihood(text)

    with pytest.raises(RuntimeError, match="stopped"):
        bench.execute(ScriptedEngine(likelihood=likelihood), "quiz")
    pretend(tmp_path, monkeypatch, "5.99.0")
    log = bench.execute(knows, "quiz")
    told = "28 answers come from a session with transformers 5.18.0 (here 5.99.0)."
    assert log.environment["transformers"] == "5.99.0"
    assert log.notes == (told,)
    assert told in (bench.out / "table.md").read_text("utf-8")
    assert bench.execute(knows, "quiz").notes == (told,)  # shown again, not made again


def test_nan_log_probabilities_are_no_score(bench):
    log = bench.execute(ScriptedEngine(likelihood=lambda text: math.nan), "quiz")
    assert (log.status, log.task("quiz").counts.failed) == ("incomplete", DOCUMENTS)
    assert "NaN" in log.task("quiz").problem


def test_documents_beyond_the_window_are_no_score(bench):
    log = bench.execute(ScriptedEngine(max_length=20), "quiz")
    assert log.status == "incomplete"
    assert log.task("quiz").counts.too_long == 7
    assert "the context window has 20" in log.task("quiz").problem


def test_an_empty_choice_is_no_score_and_no_traceback(tmp_path):
    plugin = PLUGIN.replace('spec("quiz", "cloze",', 'spec("quiz", "cloze", delimiter="",')
    bench = Bench.make(tmp_path, plugin=plugin)
    rows = [{"question": "1 + 1?", "choices": ["2", "" if n == 1 else "3"], "answer": 0} for n in (0, 1)]
    write_data(tmp_path / "data").write("tiny/quiz", "default/test.parquet", rows)
    log = bench.execute(ScriptedEngine(), "quiz")
    assert (log.status, log.task("quiz").counts.failed) == ("incomplete", 1)
    assert "Empty continuation" in log.task("quiz").problem
