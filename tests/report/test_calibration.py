"""Reliability of choice probabilities."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.report.calibration import calibration


def logs(*shares):
    return [math.log(share) - 7 for share in shares]


def test_probabilities_that_mean_what_they_say_have_no_error():
    found = calibration([(logs(0.75, 0.25), 0)] * 3 + [(logs(0.75, 0.25), 1)])
    assert found.ece == pytest.approx(0)
    assert (found.n, found.accuracy, found.confidence) == (4, 0.75, pytest.approx(0.75))
    [only] = found.bins
    assert (only.start, only.end, only.n, only.accuracy) == (0.7, 0.8, 4, 0.75)


def test_the_error_weighs_bins_by_their_documents():
    sure = [(logs(0.95, 0.05), 1)] * 3  # 95 % sure, never right
    unsure = [(logs(0.65, 0.35), 0)]  # 65 % sure, right
    assert calibration(sure + unsure).ece == pytest.approx((3 * 0.95 + 0.35) / 4)


def test_documents_without_a_choice_or_with_infinite_values_are_left_out():
    assert calibration([([-1.0], 0), ([-1.0, -math.inf], 0), ([math.nan, -1.0], 0)]) is None


@given(
    st.lists(st.tuples(st.lists(st.floats(-50, 0), min_size=2, max_size=5), st.integers(0, 4)), min_size=1)
)
def test_bins_hold_every_document_once_and_agree_with_the_totals(questions):
    found = calibration(questions)
    assert sum(one.n for one in found.bins) == found.n == len(questions)
    assert sum(one.n * one.accuracy for one in found.bins) / found.n == pytest.approx(found.accuracy)
    assert 0 <= found.ece <= 1
    for one in found.bins:
        assert one.start - 1e-9 <= one.confidence <= one.end + 1e-9
