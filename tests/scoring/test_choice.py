"""Which choice the log-likelihoods choose."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.scoring.choice import choose
from evalsuite.types import ClozePair, MultipleChoice, Score


def score(*log_probs: float) -> Score:
    return Score(log_probs, False)


def verdict(totals, texts, answer=0):
    return choose(MultipleChoice("?", tuple(texts), answer), texts, [score(total) for total in totals])


def test_the_likeliest_choice_is_chosen_by_its_sum_over_tokens():
    scores = [score(-1.0, -2.0), score(-0.5, -0.5, -0.5), score(-2.0)]
    found = choose(MultipleChoice("?", ("a", "b", "c"), 1), ("a", "b", "c"), scores)
    assert found.prediction == 1
    assert found.metrics == {"acc": 1.0, "acc_norm": 1.0}


def test_normalisation_divides_by_characters_not_bytes_or_tokens():
    # Per character: -1.0 and -0.75; per byte the first would win (-0.5).
    found = verdict([-2.0, -3.0], ["éé", "four"], answer=0)
    assert (found.prediction, found.prediction_norm) == (0, 1)
    assert found.metrics == {"acc": 1.0, "acc_norm": 0.0}


def test_ties_go_to_the_first():
    found = verdict([-2.0, -1.0, -1.0], ["aa", "a", "a"], answer=2)
    assert (found.prediction, found.prediction_norm) == (1, 0)
    assert found.metrics == {"acc": 0.0, "acc_norm": 0.0}


def test_an_empty_text_is_not_divided_by_zero():
    found = verdict([-0.4, -1.0], ["", "aa"])
    assert found.prediction_norm == 0


def test_of_a_cloze_pair_the_beginning_is_chosen():
    question = ClozePair(("The ox", "The horse"), "runs.", 1)
    found = choose(question, ("runs.", "runs."), [score(-3.0), score(-2.0)])
    assert (found.prediction, found.metrics["acc"]) == (1, 1.0)


def test_infinitely_unlikely_choices_lose():
    assert verdict([float("-inf"), -900.0], ["a", "b"]).prediction == 1


def test_a_score_for_each_choice_is_required():
    with pytest.raises(ValueError, match="zip"):
        choose(MultipleChoice("?", ("a", "b"), 0), ("a", "b"), [score(-1.0)])


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, -1e-6), min_size=2, max_size=8), st.data())
def test_exactly_one_answer_is_right(totals, data):
    texts = [data.draw(st.text(min_size=1, max_size=20)) for _ in totals]
    for metric in ("acc", "acc_norm"):
        right = [verdict(totals, texts, answer).metrics[metric] for answer in range(len(totals))]
        assert sum(right) == 1.0
    assert totals[verdict(totals, texts).prediction] == max(totals)


@settings(deadline=None)
@given(st.lists(st.integers(-1000, -1), min_size=2, max_size=8, unique=True), st.randoms())
def test_the_order_of_the_choices_does_not_matter(totals, shuffler):
    places = list(range(len(totals)))
    shuffler.shuffle(places)
    texts = ["x"] * len(totals)
    best = verdict([totals[place] for place in places], texts).prediction
    assert places[best] == verdict(totals, texts).prediction
