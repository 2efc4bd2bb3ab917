import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.errors import UserError
from evalsuite.registry.addresses import Address, parse_address, split_addresses

recipes = st.from_regex(r"[A-Za-z0-9_-]+", fullmatch=True)
tasks = st.from_regex(r"[A-Za-z0-9_.*?-]+", fullmatch=True)
formats = st.from_regex(r"[A-Za-z_]+", fullmatch=True)


@given(tasks, st.none() | recipes, st.none() | formats, st.none() | st.integers(0, 1000))
def test_what_is_written_is_what_is_read(task, recipe, form, shots):
    written = (
        (f"{recipe}/" if recipe is not None else "")
        + task
        + (f":{form}" if form is not None else "")
        + (f"@{shots}" if shots is not None else "")
    )
    assert parse_address(f" {written} ") == Address(task, recipe, form, shots)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("mmlu", Address("mmlu")),
        ("lm_eval/arc_challenge@25", Address("arc_challenge", "lm_eval", None, 25)),
        ("olmes/hellaswag:letters", Address("hellaswag", "olmes", "letters")),
        ("nemotron_h/*", Address("*", "nemotron_h")),
    ],
)
def test_the_examples_of_the_design_are_addresses(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "/mmlu", "a/b/c", "mmlu@", "mmlu@-1", "mmlu@five", "mmlu:", "mmlu@5:letters", "a b", "mmlu,x"],
)
def test_anything_else_is_an_error_that_shows_the_grammar(text):
    with pytest.raises(UserError, match=r"is not a task address; write \[recipe/\]task\[:format\]\[@shots\]"):
        parse_address(text)


@given(st.text())
def test_no_text_ends_in_another_error(text):
    try:
        assert parse_address(text).task
    except UserError:
        return


def test_only_stars_and_question_marks_make_a_pattern():
    assert parse_address("nemotron_h/arc_*").is_pattern
    assert parse_address("arc_????").is_pattern
    assert not parse_address("nemotron_h/arc").is_pattern


def test_commas_and_lists_separate_addresses_and_blanks_do_not_count():
    assert split_addresses(" mmlu, ,gsm8k@8,") == ["mmlu", "gsm8k@8"]
    assert split_addresses(["mmlu,gsm8k", "piqa"]) == ["mmlu", "gsm8k", "piqa"]
    assert split_addresses("") == []
