"""Samples packed for the browser: nothing lost, texts once, documents aligned."""

import base64
import gzip
import json

from hypothesis import given
from hypothesis import strategies as st

from evalsuite.report.embed import packed, payload
from evalsuite.report.pool import TextPool, paragraphs
from evalsuite.report.source import open_source
from tests.report.made import quiz, sums, write


def unpacked(text):
    return json.loads(gzip.decompress(base64.b64decode(text)))


def prompt_of(document, node):
    pieces = []
    while node >= 0:
        pieces.append(document["strings"][document["paragraphs"][node]])
        node = document["parents"][node]
    return "".join(reversed(pieces))


TEXTS = st.text(st.sampled_from("ab \n\r\t\u2028é"), max_size=40)


@given(TEXTS)
def test_paragraphs_join_to_exactly_the_text(text):
    assert "".join(paragraphs(text)) == text


@given(st.lists(TEXTS, max_size=8))
def test_prompts_come_back_from_the_tree_to_the_letter(texts):
    pool = TextPool()
    nodes = [pool.prompt(text)[0] for text in texts]
    document = unpacked(packed(pool.document()))
    assert [prompt_of(document, node) for node in nodes] == texts


def test_shared_shots_are_stored_once(tmp_path):
    shots = "".join(f"Question {n}?\nAnswer {n}.\n\n" for n in range(5))
    pool = TextPool()
    nodes = {pool.prompt(f"{shots}Question {n}?")[0] for n in range(1000)}
    assert len(nodes) == 1000
    assert len(pool.document()["parents"]) == 1005


def test_every_column_comes_back(tmp_path):
    samples = quiz(30, 3)
    [source] = open_source([write(tmp_path / "run", {"quiz": samples})])
    document = unpacked(packed(payload([source])))
    [task] = document["tasks"]
    columns = task["runs"][0]
    for row, sample in enumerate(samples):
        assert prompt_of(document, columns["contexts"][row]) == sample.prompt.contexts[0]
        assert [document["strings"][one] for one in document["sets"][columns["continuations"][row]]] == list(
            sample.prompt.continuations
        )
        assert columns["logs"][row] == [round(one.log_likelihood, 4) for one in sample.responses]
        assert [bool(columns["greedy"][row] >> at & 1) for at in range(4)] == [
            one.is_greedy for one in sample.responses
        ]
        assert document["strings"][columns["gold"][row]] == sample.gold
        assert columns["values"][row] == [sample.metrics["acc"]]
        assert task["subtasks"][columns["subtask"][row]] == sample.document.subtask
        assert columns["own"][row] == 1
        assert columns["contextTokens"][row] == 300


def test_documents_of_two_runs_are_aligned_by_content(tmp_path):
    first, second = sums(10), sums(12)
    second = [second[place] for place in (11, 3, 4, 5, 10)]
    sources = open_source(
        [write(tmp_path / "one", {"sums": first}), write(tmp_path / "two", {"sums": second})]
    )
    [task] = payload(sources)["tasks"]
    assert task["rows"] == [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -1],
        [-1, -1, -1, 1, 2, 3, -1, -1, -1, -1, 0, 4],
    ]


def test_a_task_of_one_run_alone_stands_beside_nothing(tmp_path):
    sources = open_source(
        [
            write(tmp_path / "one", {"sums": sums(2), "quiz": quiz(3)}),
            write(tmp_path / "two", {"sums": sums(2), "more": sums(1)}),
        ]
    )
    tasks = payload(sources)["tasks"]
    assert [(task["name"], [run is None for run in task["runs"]], task["rows"]) for task in tasks] == [
        ("sums", [False, False], [[0, 1], [0, 1]]),
        ("quiz", [False, True], [[0, 1, 2], [-1, -1, -1]]),
        ("more", [True, False], [[-1], [0]]),
    ]


def test_what_is_not_a_number_is_nothing_in_json(tmp_path):
    from dataclasses import replace

    from evalsuite.types import Score

    [sample] = quiz(1)
    sample = replace(
        sample, responses=tuple(Score((one,), False) for one in (float("-inf"), -1.0, -2.0, -3.0))
    )
    [source] = open_source([write(tmp_path / "run", {"quiz": [sample]})])
    document = unpacked(packed(payload([source])))
    assert document["tasks"][0]["runs"][0]["logs"] == [[None, -1.0, -2.0, -3.0]]
