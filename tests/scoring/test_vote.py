"""Majority vote, its tie rule, and what cannot vote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.stats.vote import majority


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        (["a", "b", "b"], 1),
        (["a", "b", "b", "a"], 0),
        (["b", "a", "a", "b"], 0),
        ([None, None, "a"], 2),
        ([None, "a", "b", "b"], 2),
        ([None, None], None),
        ([], None),
        (["", "", "a"], 0),
    ],
)
def test_the_most_frequent_answer_wins_and_of_tied_ones_the_first(answers, winner):
    assert majority(answers) == winner


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
def test_the_winner_is_lm_evals(answers):
    from lm_eval.filters.selection import MajorityVoteFilter

    [[wanted]] = MajorityVoteFilter().apply([answers], [{}])
    assert answers[majority(answers)] == wanted
    assert answers.index(wanted) == majority(answers)
