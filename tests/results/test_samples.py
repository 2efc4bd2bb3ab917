"""The samples table: one row per document, everything needed to judge it again."""

import pyarrow.parquet as pq
import pytest

from evalsuite.types import sha256_of

COLUMNS = [
    "task",
    "subtask",
    "doc",
    "subtask_doc",
    "key",
    "cluster",
    "status",
    "reason",
    "gold",
    "prediction",
    "metrics",
    "shots",
    "contexts",
    "context_sha256",
    "continuations",
    "log_likelihoods",
    "is_greedy",
    "texts",
    "extracted",
    "correct",
    "deciders",
    "finishes",
    "generated_tokens",
    "context_tokens",
    "continuation_tokens",
    "weights",
    "token_log_probs",
    "token_bytes",
]


@pytest.fixture
def table(finished):
    bench, _ = finished
    return lambda name: pq.read_table(bench.out / "samples" / f"{name}.parquet")


@pytest.mark.parametrize("name", ["quiz", "pairs", "sums"])
def test_every_document_has_a_row_in_order_and_every_column_a_type(table, name):
    found = table(name)
    assert found.column_names == COLUMNS
    assert found["doc"].to_pylist() == list(range(16))
    assert not [field for field in found.schema if str(field.type) == "null"]
    assert found.schema == table("quiz").schema


def test_a_choice_keeps_its_log_likelihoods(table, finished):
    bench, _ = finished
    [first, second] = table("quiz").slice(0, 2).to_pylist()
    assert (first["status"], first["gold"], first["prediction"]) == ("scored", "1", "2")
    assert (second["gold"], second["prediction"]) == ("2", "2")
    assert second["metrics"] == [{"metric": "acc_norm", "value": 1.0}, {"metric": "acc", "value": 1.0}]
    assert second["continuations"] == [" 4", " 5 or so", " 2"]
    assert second["log_likelihoods"] == [-6.0, -24.0, -0.02]
    assert second["is_greedy"] == [False, False, True]
    assert (second["texts"], second["finishes"]) == ([], [])
    assert second["continuation_tokens"] == [2, 8, 2]
    assert second["context_sha256"] == sha256_of("Q: 2 + 2?\nA:")
    document = bench.prepared("quiz").documents[1]
    assert second["key"] == document.key("quiz")


def test_a_cloze_pair_keeps_both_contexts(table):
    row = table("pairs").slice(1, 1).to_pylist()[0]
    assert row["contexts"] == ["The 1th ox", "The 1th horse"]
    assert row["continuations"] == [" is here.", " is here."]


def test_a_generated_text_keeps_how_it_ended(table):
    row = table("sums").slice(1, 1).to_pylist()[0]
    assert (row["texts"], row["finishes"], row["generated_tokens"]) == ([" 4"], ["stop"], [3])
    assert (row["prediction"], row["gold"], row["shots"]) == ("4", "4", 2)
    assert (row["extracted"], row["correct"], row["deciders"]) == (["4"], [True], ["exact_match"])
    assert row["log_likelihoods"] == []


def test_keys_of_documents_differ_within_a_task(table):
    for name in ("quiz", "pairs", "sums"):
        assert len(set(table(name)["key"].to_pylist())) == 16
