"""Standard errors and intervals against published values and their own promise."""

import math
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from evalsuite.stats.intervals import CONFIDENCE, Estimate, Z, macro_estimate, mean_estimate
from evalsuite.stats.stderr import mean_error


def zeros_and_ones(successes: int, n: int) -> list[int]:
    return [1] * successes + [0] * (n - successes)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_of_zeros_and_ones_is_wilsons(successes, n, low, high):
    found = mean_estimate(zeros_and_ones(successes, n))
    assert found.value == pytest.approx(successes / n)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_the_standard_error_is_lm_evals():
    """lm-eval 0.4 (api/metrics.py): sample standard deviation over the root of n; 21 of 50 as printed
    there."""
    assert mean_estimate(zeros_and_ones(21, 50)).stderr == pytest.approx(0.07050835816716035, abs=1e-15)


def test_other_values_have_the_normal_interval():
    found = mean_estimate([0.0, 0.5, 1.0, 2.0, 2.0])
    assert found.value == pytest.approx(1.1)
    assert found.stderr == pytest.approx(0.4)  # variance 0.8 over n = 5
    assert (found.low, found.high) == pytest.approx((1.1 - 0.783986, 1.1 + 0.783986), abs=1e-6)


def test_shares_have_wilsons_interval_at_the_effective_number_of_documents():
    found = mean_estimate([0.0, 0.25, 0.5, 1.0, 1.0])
    assert (found.value, found.stderr) == (pytest.approx(0.55), pytest.approx(0.2))
    z = 2.776  # Student's t with 4 degrees of freedom
    # 25 * 0.2^2 = 1 is seen, of 5 * 0.55 * 0.45 = 1.2375 events; half an event is added to both.
    effective = 5 / ((1 + 0.5) / (1.2375 + 0.5))
    middle = (0.55 + z**2 / (2 * effective)) / (1 + z**2 / effective)
    assert (found.low + found.high) / 2 == pytest.approx(middle, abs=1e-4)
    assert 0 < found.low < 0.55 < found.high < 1


def test_equal_shares_leave_the_uncertainty_of_half_an_event():
    few, many = mean_estimate([0.5] * 4), mean_estimate([0.5] * 1000)
    assert (few.stderr, many.stderr) == (0.0, 0.0)
    assert few.high - few.low > 0.2
    assert many.high - many.low < 0.003


def test_shares_that_are_nearly_all_1_are_no_surer_than_as_many_verdicts():
    found, verdicts = mean_estimate([1.0] * 163 + [0.996]), mean_estimate([1] * 164)
    assert found.low == pytest.approx(verdicts.low, abs=0.004)
    assert mean_error([1.0] * 163 + [0.996]).stderr < 3e-5  # alone it would claim 99.99 to 100


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_one_value_says_nothing_about_spread(value):
    assert mean_estimate([value]) == Estimate(value, None, None, None, 1)


def test_no_value_is_a_mistake():
    with pytest.raises(ValueError, match="no values"):
        mean_estimate([])


@pytest.mark.parametrize("value", [0, 1])
def test_all_right_or_all_wrong_is_still_uncertain(value):
    found = mean_estimate([value] * 10)
    assert (found.value, found.stderr) == (value, 0.0)
    assert (found.low, found.high) == pytest.approx((0.7225, 1.0) if value else (0.0, 0.2775), abs=1e-4)


@settings(deadline=None)
@given(st.lists(st.integers(0, 1), min_size=2, max_size=60))
def test_the_interval_of_zeros_and_ones_holds_the_mean_and_stays_inside(values):
    found = mean_estimate(values)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
    assert found.low < found.high


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.randoms())
@example([0.0, 3e-130], random.Random(0))
def test_the_order_of_the_documents_does_not_matter(values, shuffler):
    shuffled = list(values)
    shuffler.shuffle(shuffled)
    one, other = mean_estimate(values), mean_estimate(shuffled)
    assert (one.value, one.n) == (other.value, other.n)
    assert one.stderr == pytest.approx(other.stderr, abs=1e-12)


@pytest.mark.parametrize("chance", [0.05, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("n", [20, 100])
def test_the_interval_covers_the_truth_as_often_as_it_says(chance, n):
    """Exact, summed over every outcome."""
    coverage = 0.0
    for successes in range(n + 1):
        found = mean_estimate(zeros_and_ones(successes, n))
        coverage += binom.pmf(successes, n, chance) * (found.low <= chance <= found.high)
    assert coverage == pytest.approx(CONFIDENCE, abs=0.035)


def test_the_normal_interval_covers_the_truth_as_often_as_it_says():
    draw = random.Random(0)
    runs = [mean_estimate([draw.gauss(0.5, 1) for _ in range(40)]) for _ in range(2000)]
    assert sum(one.low <= 0.5 <= one.high for one in runs) / 2000 == pytest.approx(CONFIDENCE, abs=0.015)


def test_the_macro_mean_weighs_groups_alike():
    found = macro_estimate({"small": [1, 0], "large": zeros_and_ones(30, 40)})
    assert found.value == pytest.approx((0.5 + 0.75) / 2)
    errors = [mean_estimate(values).stderr for values in ([1, 0], zeros_and_ones(30, 40))]
    assert found.stderr == pytest.approx(math.hypot(*errors) / 2)
    assert (found.low, found.high) == pytest.approx(
        (found.value - Z * found.stderr, found.value + Z * found.stderr)
    )
    assert found.n == 42


def test_the_macro_mean_of_one_group_is_its_mean():
    values = [0.1, 0.5, 0.2]
    assert macro_estimate({"only": values}) == mean_estimate(values)


def test_a_group_of_one_leaves_the_macro_mean_without_an_error():
    assert macro_estimate({"one": [1], "more": [0, 1]}) == Estimate(0.75, None, None, None, 3)


def test_the_macro_interval_covers_the_truth_as_often_as_it_says():
    draw = random.Random(1)
    truth = (0.3, 0.6, 0.8)
    hits = 0
    for _ in range(1000):
        groups = {str(p): [int(draw.random() < p) for _ in range(60)] for p in truth}
        found = macro_estimate(groups)
        hits += found.low <= sum(truth) / 3 <= found.high
    assert hits / 1000 == pytest.approx(CONFIDENCE, abs=0.02)
