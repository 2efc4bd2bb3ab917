"""Documents of two runs are paired by content, whatever their position."""

import random

import pytest

from evalsuite.decisions.compare.pairs import align, common_values
from evalsuite.errors import StorageError
from evalsuite.results.read import open_run
from tests.fabricate import Made, fabricate, verdicts


@pytest.fixture
def samples(tmp_path):
    def of(name: str, made: Made):
        side = open_run(fabricate(tmp_path / name, {"quiz": made}))
        return side.samples(side.tasks["quiz"])

    return of


def test_a_reordered_split_is_paired_by_content(samples):
    order = list(range(50))
    random.Random(0).shuffle(order)
    first = samples("a", Made([n % 2 for n in range(50)]))
    second = samples("b", Made([n % 2 for n in order], rows=order))
    found = common_values(first, second, align(first, second), "acc")
    assert len(found.rows) == 50
    assert list(found.baseline) == list(found.candidate)


def test_documents_of_one_run_only_are_counted_apart(samples):
    first, second = samples("a", Made([1] * 6)), samples("b", Made([1] * 5, rows=[4, 5, 6, 7, 8]))
    found = align(first, second)
    assert found.common == ((4, 0), (5, 1))
    assert (found.only_first, found.only_second) == ((0, 1, 2, 3), (2, 3, 4))


def test_equal_documents_are_paired_in_turn(samples):
    first = samples("a", Made([1, 0, 1], rows=[7, 7, 7]))
    second = samples("b", Made([0, 1, 0, 1], rows=[7, 8, 7, 7]))
    found = align(first, second)
    assert found.common == ((0, 0), (1, 2), (2, 3))
    assert found.only_second == (1,)


def test_a_document_without_a_verdict_on_either_side_has_no_value(samples):
    first, second = samples("a", Made([1] * 4, failed=[0])), samples("b", Made([1] * 4, failed=[2]))
    assert common_values(first, second, align(first, second), "acc").rows == ((1, 1), (3, 3))


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "other"])
def test_damaged_samples_are_one_sentence(tmp_path, damage):
    side = open_run(fabricate(tmp_path / "run", {"quiz": verdicts(30, 20)}))
    path = tmp_path / "run" / "samples" / "quiz.parquet"
    if damage == "gone":
        path.unlink()
    elif damage == "other":
        path.write_bytes(
            (fabricate(tmp_path / "b", {"quiz": [1, 0]}) / "samples" / "quiz.parquet").read_bytes()
        )
    else:
        path.write_bytes(path.read_bytes()[:200] if damage == "cut" else b"")
    said = {"cut": "damaged", "empty": "damaged", "gone": "is missing", "other": "belong to different runs"}
    with pytest.raises(StorageError, match=said[damage]) as error:
        side.samples(side.tasks["quiz"])
    assert "\n" not in str(error.value)


def test_a_table_of_another_version_is_named(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    side = open_run(fabricate(tmp_path / "run", {"quiz": [1]}))
    pq.write_table(pa.table({"doc": [0]}), tmp_path / "run" / "samples" / "quiz.parquet")
    with pytest.raises(StorageError, match="has no column subtask, key"):
        side.samples(side.tasks["quiz"])


def test_a_run_that_has_not_finished_is_refused(tmp_path):
    with pytest.raises(StorageError, match="has not finished"):
        open_run(fabricate(tmp_path / "run", {"quiz": [1]}, status="running"))


def test_an_empty_run_is_refused(tmp_path):
    with pytest.raises(StorageError, match="is an empty run without tasks"):
        open_run(fabricate(tmp_path / "run", {}))
