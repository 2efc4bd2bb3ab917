from pathlib import Path

import pyarrow.parquet as pq
import pytest

from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.prepare import prepare
from evalsuite.runs.dump import hash_rows, request_rows, write_requests
from evalsuite.types import canonical_json, sha256_of

PLUGIN = Path(__file__).parents[1] / "tasks" / "plugin" / "tiny.py"
TASKS = ["tiny_quiz", "tiny_quiz:cloze@1", "tiny_gaps", "tiny_sums"]
HASH_COLUMNS = [
    "subtask",
    "doc",
    "kind",
    "context_sha256",
    "contexts_sha256",
    "continuation_sha256",
    "n_chars",
    "n_chars_continuation",
    "gold",
    "target_sha256",
]


def prepared(address: str) -> PreparedTask:
    return prepare(Registry.load([PLUGIN]).select([address])[0])


def test_a_multiple_choice_document_is_dumped_with_its_member_task():
    assert request_rows(prepared("tiny_quiz"))[2] == {
        "task": "tiny_quiz",
        "subtask": "tiny_quiz_sky",
        "doc": 0,
        "kind": "loglikelihood",
        "context": "At night the sky is\nA. white\nB. dark\nAnswer: B\n\n"
        "By day the\tsky is\nA. blue\nB. green\nAnswer:",
        "contexts": [],
        "continuations": [" A", " B"],
        "generation": None,
        "gold": "0",
    }


def test_a_cloze_pair_is_dumped_with_a_context_for_each_continuation():
    row = request_rows(prepared("tiny_gaps"))[1]
    assert row["contexts"] == ["Ann thanked Eve because Ann", "Ann thanked Eve because Eve"]
    assert row["context"] == row["contexts"][0]
    assert row["continuations"] == [" had helped."] * 2
    assert row["gold"] == "1"


def test_a_generated_document_is_dumped_with_its_arguments_and_gold():
    row = request_rows(prepared("tiny_sums"))[0]
    assert (row["kind"], row["continuations"], row["gold"]) == ("generate_until", [], "5")
    assert row["generation"] == '{"do_sample":false,"max_gen_toks":32,"until":["Q:","\\n\\n"]}'


@pytest.mark.parametrize("address", TASKS)
def test_hashes_are_those_of_the_dumped_texts(address):
    one = prepared(address)
    for text, hashed in zip(request_rows(one), hash_rows(one), strict=True):
        assert list(hashed) == HASH_COLUMNS
        assert [hashed[name] for name in ("subtask", "doc", "kind", "gold")] == [
            text[name] for name in ("subtask", "doc", "kind", "gold")
        ]
        assert hashed["context_sha256"] == sha256_of(text["context"])
        assert hashed["contexts_sha256"] == [sha256_of(context) for context in text["contexts"]]
        assert hashed["n_chars"] == len(text["context"])
        generates = text["kind"] == "generate_until"
        asked = [text["generation"]] if generates else text["continuations"]
        assert hashed["continuation_sha256"] == [sha256_of(one) for one in asked]
        assert hashed["n_chars_continuation"] == [len(one) for one in text["continuations"]]
        assert hashed["target_sha256"] == (sha256_of(text["gold"]) if generates else None)


def test_the_hash_of_a_text_is_that_of_its_utf8_and_of_a_value_that_of_its_canonical_json():
    assert sha256_of("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert canonical_json({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"é"]}'


@pytest.mark.parametrize("hashes", [False, True])
@pytest.mark.parametrize("address", TASKS)
def test_the_file_has_the_rows_and_one_schema_whatever_the_task(tmp_path, address, hashes):
    one = prepared(address)
    path = write_requests(one, tmp_path / "new" / "folder", hashes)
    assert path.stem == address.replace(":", ".")
    assert pq.read_table(path).to_pylist() == (hash_rows if hashes else request_rows)(one)
    first = write_requests(prepared(TASKS[0]), tmp_path, hashes)
    assert pq.read_schema(path) == pq.read_schema(first)


def test_recipe_and_format_are_part_of_a_file_s_name(tmp_path):
    selected = Registry.load([PLUGIN]).select(["tiny_gaps"])[0]
    one = prepare(selected)
    renamed = PreparedTask(
        type(selected)("lm_eval/x:cloze@5", selected.task, selected.spec),
        "test",
        one.documents,
        one.shots,
        {},
    )
    assert write_requests(renamed, tmp_path, hashes=False).name == "lm_eval.x.cloze@5.parquet"
