"""Readers of rows: one example each of what is not obvious; whole splits are compared with golden files."""

import pytest
from evalsuite.tasks.arc import question as arc
from evalsuite.tasks.gsm8k import question as gsm8k
from evalsuite.tasks.held_out_corpora import TASKS as CORPORA
from evalsuite.tasks.hellaswag import clean
from evalsuite.tasks.hellaswag import question as hellaswag
from evalsuite.tasks.winogrande import question as winogrande
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.registry.registry import Registry

REGISTRY = Registry.load()
NOT_AT_HAND = {
    ("global_mmlu_lite", "dev"),
    ("lambada_standard", "test"),
    ("nq_open", "train"),
    ("sciq", "test"),
    ("sciq", "train"),
    ("triviaqa", "train"),
    ("triviaqa", "validation"),
    ("tydiqa_goldp", "train"),
    ("text", "test"),  # the user's own
    *((corpus.name, corpus.split) for corpus in CORPORA),
}
"""Splits that are not pinned, as no whole copy of them was at hand."""


def is_pinned(task, split) -> bool:
    return (split in task.data.splits) != ((task.name, split) in NOT_AT_HAND)


@pytest.mark.parametrize("labels", ["ABCD", "1234"])
def test_the_answer_of_arc_is_found_by_its_label_be_it_letter_or_digit(labels):
    row = {"question": "q", "choices": {"text": list("wxyz"), "label": list(labels)}}
    assert arc(row | {"answerKey": labels[2]}).answer == 2


def test_the_gold_form_of_gsm8k_stands_after_the_hashes_and_the_solution_is_kept():
    answer = "It is <<2+2=4>>4.\n#### 1,004 "
    question = gsm8k({"question": "q", "answer": answer})
    assert (question.answers, question.solution) == (("1,004",), answer)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        (" How to boil [title] Fill the pot. ", "How to boil. Fill the pot."),
        ("[header] How [step] to", " How to"),
        ("a    b", "a  b"),
        ("a[x[y]b", "ab"),
    ],
)
def test_hellaswag_loses_its_mark_up_in_one_pass_each(raw, cleaned):
    assert clean(raw) == cleaned


def test_a_hellaswag_stem_is_its_label_and_both_contexts_the_second_capitalized():
    row = {"activity_label": "Boiling", "ctx_a": "A pot.", "ctx_b": "she Waits", "endings": [" a", "b"]}
    question = hellaswag(row | {"label": "1"})
    assert (question.stem, question.choices, question.answer) == (
        "Boiling: A pot. She waits",
        ("a", "b"),
        1,
    )


@given(st.text(st.characters(exclude_characters="_")), st.text(), st.sampled_from("12"))
def test_a_winogrande_sentence_is_parted_at_its_first_gap(before, after, answer):
    row = {"sentence": f"{before}_{after}", "option1": "Ann", "option2": "Eve", "answer": answer}
    question = winogrande(row)
    assert question.beginnings == (before + "Ann", before + "Eve")
    assert question.ending == after.strip()
    assert question.beginnings[question.answer].endswith({"1": "Ann", "2": "Eve"}[answer])


@pytest.mark.parametrize("name", sorted(REGISTRY.tasks))
def test_every_task_pins_the_split_that_it_evaluates_and_is_asked_somehow(name):
    task = REGISTRY.tasks[name]
    assert is_pinned(task, task.split)
    assert task.chance is None or 0 < task.chance < 1
    assert any(REGISTRY.spec(*form).plugin == name for form in REGISTRY.forms())


@pytest.mark.parametrize(("recipe", "name", "form"), REGISTRY.forms())
def test_every_spec_is_of_a_task_and_takes_its_shots_from_a_pinned_split(recipe, name, form):
    spec = REGISTRY.spec(recipe, name, form)
    task = REGISTRY.tasks[spec.plugin]
    assert spec.shots.split is None or is_pinned(task, spec.shots.split)
    assert spec.split is None or is_pinned(task, spec.split)
    assert spec.source.reference or spec.source.status == "ours"
