"""Extraction and exact match."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.prompting.spec import AnswerComparison, Extraction
from evalsuite.scoring.text import exact_match, extract


@pytest.mark.parametrize(
    ("patterns", "take", "found"),
    [
        ([r"answer is (\d+)"], "first", "4"),
        ([r"answer is (\d+)"], "last", "5"),
        ([r"\d+"], "first", "2"),
        ([r"never", r"#### (\d+)"], "first", "6"),
        ([r"#### (\d+)", r"answer is (\d+)"], "first", "6"),
        ([r"(never)|answer is (\d+)"], "first", "4"),
        ([r"(\s*\d+\s*)\n"], "first", "5"),
        ([r"never"], "last", None),
        ([r"^(\d+)"], "first", None),
    ],
)
def test_the_first_pattern_that_matches_decides(patterns, take, found):
    text = "So 2 and 2. The answer is 4, no: the answer is 5 \n#### 6"
    assert extract(text, Extraction(patterns=tuple(patterns), take=take)) == found


OPTIONS = ("iron", "cast iron", "steel", "gold", "gold", "10 %")
BY_OPTION = Extraction(patterns=(r"\(([A-Z])\)",), take="last", options=True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(A), no: (C).", "C"),
        ("Steel or cast iron", "B"),
        ("cast iron, or steel", "C"),
        ("It is Cast-Iron", "A"),  # punctuation is gone: castiron has iron in it
        ("the environment", "A"),  # as part of a word
        ("gold", "E"),  # of equal options, the last
        ("about 10 % of it", "10"),  # the percent sign is gone, and the blank before it belongs to no letter
        ("the answer: B", "B"),
        ("no answer", None),
    ],
)
def test_an_options_text_answers_where_no_pattern_matches(text, found):
    assert extract(text, BY_OPTION, options=OPTIONS) == found


def test_without_options_only_patterns_count():
    assert extract("steel", BY_OPTION) is None
    assert extract("steel", Extraction(patterns=("x",)), options=OPTIONS) is None


def test_without_extraction_the_whole_text_is_the_answer():
    assert extract("  Paris \n", None) == "Paris"


def test_an_empty_text_has_no_answer_to_extract():
    assert extract("", Extraction(patterns=(r"\d+",))) is None
    assert extract("", None) == ""


def test_no_answer_matches_nothing_not_even_an_empty_gold():
    assert not exact_match(None, ("",), AnswerComparison())


@pytest.mark.parametrize(
    ("answer", "gold", "ignore", "match"),
    [
        ("18", ("18",), (), True),
        ("18.", ("18",), (), False),
        ("18.", ("18",), (r"\.$",), True),
        ("$1,800", ("1800",), (",", r"\$"), True),
        ("1800", ("$1,800",), (",", r"\$"), True),
        ("b", ("a", "b"), (), True),
        ("B", ("b",), (), False),
        ("b", (), (), False),
    ],
)
def test_an_answer_matches_any_gold_form_once_both_are_reduced(answer, gold, ignore, match):
    assert exact_match(answer, gold, AnswerComparison(ignore=ignore)) == match


@settings(deadline=None)
@given(st.text(), st.lists(st.text()))
def test_an_answer_matches_if_it_is_among_the_gold_forms(answer, gold):
    assert exact_match(answer, gold, AnswerComparison()) == (answer in gold)


STRICT, FLEXIBLE = r"#### (\-?[0-9\.\,]+)", r"(-?[$0-9.,]{2,})|(-?[0-9]+)"
LETTER = r"answer is \(?([ABCDEFGHIJ])\)?"
SAYS = st.lists(
    st.sampled_from(
        ["#### ", "answer is ", "(", "B", ")", "18", "1,800", "$", "-", ".", "3.5", " ", "\n", "٣", "é"]
    )
    | st.text(max_size=3),
    max_size=8,
).map("".join)


@pytest.mark.parametrize(("pattern", "take"), [(STRICT, "first"), (FLEXIBLE, "last"), (LETTER, "first")])
@settings(deadline=None, max_examples=200)
@given(
    text=SAYS,
    gold=st.sampled_from(["18", "1800", "-18", "3.5", "B"]),
    case=st.booleans(),
    punctuation=st.booleans(),
)
def test_extraction_and_exact_match_are_lm_evals(pattern, take, text, gold, case, punctuation):
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters.extraction import RegexFilter

    [[wanted]] = RegexFilter(pattern, 0 if take == "first" else -1).apply([[text]], [{}])
    found = extract(text, Extraction(patterns=(pattern,), take=take))
    assert (found if found is not None else "[invalid]") == wanted
    ignore = [",", "\\$", "(?s).*#### ", "\\.$"]
    equal = exact_match_hf_evaluate(
        [wanted], [gold], regexes_to_ignore=ignore, ignore_case=case, ignore_punctuation=punctuation
    )
    comparison = AnswerComparison(ignore=tuple(ignore), ignore_case=case, ignore_punctuation=punctuation)
    assert exact_match(found, (gold,), comparison) == bool(equal["exact_match"])
