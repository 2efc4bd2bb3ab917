"""Which choice the log-likelihoods choose."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.scoring.choice import chosen_answer
from evalsuite.types import ClozePair, MultipleChoice, Score


def score(*log_probs: float) -> Score:
    return Score(log_probs, False)


def verdict(totals, texts, answer=0):
    return chosen_answer(MultipleChoice("?", tuple(texts), answer), texts, [score(total) for total in totals])


def shown(found, *metrics):
    return [found.metrics[metric] for metric in metrics]


def test_the_likeliest_choice_is_chosen_by_its_sum_over_tokens():
    scores = [score(-1.0, -2.0), score(-0.5, -0.5, -0.5), score(-2.0)]
    found = chosen_answer(MultipleChoice("?", ("a", "b", "c"), 1), ("a", "b", "c"), scores)
    assert found.predictions["acc"] == 1
    assert shown(found, "acc", "acc_norm") == [1.0, 1.0]


def test_normalisation_divides_by_characters_not_bytes_or_tokens():
    # Per character: -1.0 and -0.75; per byte the first wins (-0.5).
    found = verdict([-2.0, -3.0], ["éé", "four"], answer=0)
    assert found.predictions == {"acc": 0, "acc_norm": 1, "acc_bytes": 0, "acc_tokens": 0}
    assert shown(found, "acc", "acc_norm", "acc_bytes") == [1.0, 0.0, 1.0]


def test_per_token_the_average_token_decides():
    found = chosen_answer(MultipleChoice("?", ("a", "b"), 1), ("a", "b"), [score(-2.0), score(-1.5, -1.5)])
    assert found.predictions == {"acc": 0, "acc_norm": 0, "acc_bytes": 0, "acc_tokens": 1}


def test_mutual_information_takes_off_what_is_likely_without_the_question():
    scores, alone = [score(-2.0), score(-3.0)], [score(-1.0), score(-2.5)]  # gains -1.0 and -0.5
    found = chosen_answer(MultipleChoice("?", ("a", "b"), 1), ("a", "b"), scores, alone)
    assert shown(found, "acc", "acc_mutual_info") == [0.0, 1.0]
    assert (
        "acc_mutual_info" not in chosen_answer(MultipleChoice("?", ("a", "b"), 1), ("a", "b"), scores).metrics
    )


def test_bits_per_byte_are_of_the_right_text():
    found = verdict([-1.0, -6 * math.log(2)], ["a", "éa"], answer=1)
    assert found.metrics["bits_per_byte"] == pytest.approx(2.0)  # 6 bits, 3 bytes


def test_the_headline_decides_which_prediction_is_shown():
    found = verdict([-2.0, -3.0], ["éé", "four"])
    assert [found.prediction(metric) for metric in ("acc", "acc_norm", "bits_per_byte")] == [0, 1, 0]


def test_ties_go_to_the_first():
    found = verdict([-2.0, -1.0, -1.0], ["aa", "a", "a"], answer=2)
    assert (found.predictions["acc"], found.predictions["acc_norm"]) == (1, 0)
    assert shown(found, "acc", "acc_norm") == [0.0, 0.0]


def test_an_empty_text_is_not_divided_by_zero():
    found = verdict([-0.4, -1.0], ["", "aa"])
    assert set(found.predictions.values()) == {0}


def test_of_a_cloze_pair_the_beginning_is_chosen():
    question = ClozePair(("The ox", "The horse"), "runs.", 1)
    found = chosen_answer(question, ("runs.", "runs."), [score(-3.0), score(-2.0)])
    assert (found.predictions["acc"], found.metrics["acc"]) == (1, 1.0)


def test_infinitely_unlikely_choices_lose():
    assert verdict([float("-inf"), -900.0], ["a", "b"]).predictions["acc"] == 1


def test_a_score_for_each_choice_is_required():
    with pytest.raises(ValueError, match="zip"):
        chosen_answer(MultipleChoice("?", ("a", "b"), 0), ("a", "b"), [score(-1.0)])


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, -1e-6), min_size=2, max_size=8), st.data())
def test_exactly_one_answer_is_right(totals, data):
    texts = [data.draw(st.text(min_size=1, max_size=20)) for _ in totals]
    for metric in ("acc", "acc_norm", "acc_bytes", "acc_tokens"):
        right = [verdict(totals, texts, answer).metrics[metric] for answer in range(len(totals))]
        assert sum(right) == 1.0
    assert totals[verdict(totals, texts).predictions["acc"]] == max(totals)


@settings(deadline=None)
@given(st.lists(st.integers(-1000, -1), min_size=2, max_size=8, unique=True), st.randoms())
def test_the_order_of_the_choices_does_not_matter(totals, shuffler):
    places = list(range(len(totals)))
    shuffler.shuffle(places)
    texts = ["x"] * len(totals)
    best = verdict([totals[place] for place in places], texts).predictions["acc"]
    assert places[best] == verdict(totals, texts).predictions["acc"]


def test_a_margin_is_what_the_sums_would_have_to_change_by_together():
    found = verdict([-2.0, -2.5, -9.0], ["a", "bb", "cccc"])
    assert found.margin("acc") == found.margins["acc"] == 0.5
    # By characters -2, -1.25 and -2.25. A first sum of 0.5 more (-1.5) and a second of 0.5 less (-3) meet at
    # -1.5.
    assert found.margin("acc_norm") == pytest.approx(1.0)
    assert found.margin("bits_per_byte") == 0.5


def test_equal_choices_have_no_margin_and_a_single_one_has_no_rival():
    assert verdict([-2.0, -2.0], ["a", "b"]).margin("acc") == 0.0
    assert verdict([-2.0], ["a"]).margin("acc") == math.inf


def test_a_margin_by_mutual_information_is_in_nats():
    question = MultipleChoice("?", ("a", "b"), 0)
    found = chosen_answer(question, ("a", "b"), [score(-2.0), score(-2.0)], [score(-5.0), score(-4.0)])
    assert found.margin("acc_mutual_info") == 1.0
