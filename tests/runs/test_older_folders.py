"""Run folders and response stores that version 0.1.0 wrote, before its modules had today's names, are read
and continued.

`written_by_0_1_0/finished` holds the tasks quiz and sums, answered by `bench.oracle` with errors on the
documents 0, 5 and 6; `interrupted` is the same run with 24 of its 64 answers.
"""

import shutil
from pathlib import Path

import pytest

import evalsuite
from evalsuite.results.store import ResponseStore
from tests.runs.bench import Bench, oracle

WRITTEN = Path(__file__).with_name("written_by_0_1_0")
SCORES = {"quiz": 0.8125, "sums": 0.8125}


@pytest.fixture(params=["finished", "interrupted"])
def folder(request, tmp_path) -> tuple[Bench, int]:
    """A bench whose run folder is the old one, and how many answers that has."""
    bench = Bench.make(tmp_path)
    shutil.copytree(WRITTEN / request.param, bench.out)
    return bench, {"finished": 64, "interrupted": 24}[request.param]


def test_an_older_folder_is_continued_without_asking_what_was_answered(folder):
    bench, answers = folder
    engine = oracle([bench.prepared("quiz"), bench.prepared("sums")], wrong={0, 5, 6})
    log = bench.execute(engine, "quiz", "sums")
    assert len(engine.asked) == 64 - answers
    assert log.status == "complete"
    assert {task.name: next(iter(task.metrics.values())).value for task in log.tasks} == SCORES


def test_an_older_run_log_and_its_samples_are_read():
    log = evalsuite.read_run(WRITTEN / "finished")
    assert {task.name: next(iter(task.metrics.values())).value for task in log.tasks} == SCORES
    assert log.spec.tasks == ("tiny/quiz:cloze@0", "tiny/sums:generate@2")


def test_an_older_store_is_shared(tmp_path):
    shutil.copy(WRITTEN / "finished" / "responses.sqlite", tmp_path)
    store = ResponseStore(tmp_path / "responses.sqlite")
    assert len(store) == 64
    store.close()
