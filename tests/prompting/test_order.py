from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.prompting.order import in_order
from evalsuite.types import MultipleChoice, OpenAnswer

SKY = MultipleChoice("Sky?", ("blue", "green", "red"), 0)


def test_an_order_names_the_places_of_the_choices_and_the_answer_goes_along():
    assert in_order(SKY, (2, 0, 1), 5) == MultipleChoice("Sky?", ("red", "blue", "green"), 1)


def test_without_an_order_or_without_choices_a_question_stays_as_it_is():
    assert in_order(SKY, (), 3) is SKY
    question = OpenAnswer("1+1?", ("2",))
    assert in_order(question, "shuffled", 3) is question


@pytest.mark.parametrize("order", [(0, 1), (0, 1, 1), (0, 1, 3)])
def test_an_order_of_other_places_is_an_error(order):
    with pytest.raises(ValueError, match="is not a permutation of 3 choices"):
        in_order(SKY, order, 0)


@given(st.integers(0, 10_000), st.lists(st.text(), min_size=1, max_size=6), st.data())
def test_a_shuffle_is_the_place_s_own_and_keeps_the_answer(place, choices, data):
    answer = data.draw(st.integers(0, len(choices) - 1))
    shuffled = in_order(MultipleChoice("?", tuple(choices), answer), "shuffled", place)
    expected = list(choices)
    Random(place).shuffle(expected)
    assert list(shuffled.choices) == expected
    assert shuffled.choices[shuffled.answer] == choices[answer]
