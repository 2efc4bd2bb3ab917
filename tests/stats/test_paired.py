"""Paired differences: tests and intervals against other implementations and by exact coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm, permutation_test
from statsmodels.stats.contingency_tables import mcnemar

from evalsuite.stats.multiple import holm
from evalsuite.stats.paired import mcnemar_exact, paired_estimate, sign_flip
from evalsuite.stats.tango import tango_interval, tango_score


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (0, 6), (3, 5), (40, 15)])
def test_mcnemar_is_statsmodels_exact_test(lost, gained):
    expected = float(mcnemar([[10, lost], [gained, 10]], exact=True).pvalue)
    assert mcnemar_exact(lost, gained) == pytest.approx(expected)


def test_the_sign_flip_test_is_scipys_permutation_test():
    draw = np.random.default_rng(0)
    values = draw.normal(0.25, 1, 60)
    zeros = np.zeros(60)
    expected = permutation_test(
        (values, zeros),
        lambda x, y: abs((x - y).sum()),
        permutation_type="samples",
        vectorized=False,
        n_resamples=4000,
        alternative="greater",
        rng=draw,
    ).pvalue
    assert sign_flip(values, 20_000) == pytest.approx(expected, abs=0.015)


def test_the_sign_flip_test_of_equal_sizes_is_the_exact_binomial():
    assert sign_flip([1.0] * 9 + [-1.0] * 2, 50_000) == pytest.approx(mcnemar_exact(2, 9), abs=0.005)
    assert sign_flip([0.0, 0.0]) == 1.0


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 400))
def test_tangos_interval_ends_where_its_score_does(lost, gained, both):
    n = lost + gained + both + 1
    low, high = tango_interval(lost, gained, n)
    assert -1 <= low <= (gained - lost) / n <= high <= 1
    for bound in (low, high):
        if abs(bound) < 0.999999:
            assert abs(tango_score(lost, gained, n, bound)) == pytest.approx(1.96, abs=1e-3)


def test_without_flips_the_difference_is_still_uncertain():
    low, high = tango_interval(0, 0, 164)
    assert high == pytest.approx(1.96**2 / (164 + 1.96**2), abs=1e-5)
    assert low == pytest.approx(-high)


def test_tangos_score_of_no_difference_is_mcnemars():
    assert tango_score(9, 25, 200, 0.0) == pytest.approx((25 - 9) / np.sqrt(34))


@pytest.mark.parametrize("n", [164, 500, 1319, 14042])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_paired_interval_covers_the_truth_as_often_as_it_says(n, share):
    """Exact, from about five documents that change; with fewer it holds more than it says (coverage.py)."""
    for discordance in (0.05, 0.1, 0.3):
        delta = share * discordance
        gained, lost = (discordance + delta) / 2, (discordance - delta) / 2
        b = np.arange(binom.ppf(1e-9, n, gained), binom.isf(1e-9, n, gained) + 1)
        c = np.arange(binom.ppf(1e-9, n, lost), binom.isf(1e-9, n, lost) + 1)
        b, c = np.meshgrid(b, c, indexing="ij")
        chance = binom.pmf(b, n, gained) * binom.pmf(c, np.maximum(n - b, 0), lost / (1 - gained))
        inside = np.abs(tango_score(c, b, n, delta)) <= norm.isf(0.025)
        assert 0.94 <= float((chance * inside)[b + c <= n].sum()) <= 0.97


def test_the_order_of_the_documents_changes_nothing():
    draw = np.random.default_rng(0)
    first, second = draw.integers(0, 2, 200).astype(float), draw.integers(0, 2, 200).astype(float)
    order = draw.permutation(200)
    one, other = paired_estimate(first, second), paired_estimate(first[order], second[order])
    assert (one.delta, one.p, one.low) == (pytest.approx(other.delta), other.p, pytest.approx(other.low))


def test_swapping_the_runs_turns_the_delta():
    first, second = [1.0] * 50 + [0.0] * 50, [1.0] * 40 + [0.0] * 55 + [1.0] * 5
    one, other = paired_estimate(first, second), paired_estimate(second, first)
    assert one.delta == -other.delta
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))
    assert one.p == other.p


def test_equal_input_gives_equal_output_where_resampling_is_needed():
    draw = np.random.default_rng(0)
    first, second = draw.random(100), draw.random(100)
    assert paired_estimate(first, second) == paired_estimate(first, second)


def test_a_single_document_has_no_interval():
    found = paired_estimate([1.0], [0.0])
    assert (found.delta, found.low, found.interval, found.p) == (-1, None, "none", 1.0)


def test_holm_multiplies_the_smallest_by_all_of_them():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
