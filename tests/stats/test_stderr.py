"""Errors of clustered and stratified means, against statsmodels and by hand."""

import math
import random

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import t

from evalsuite.stats.intervals import macro_estimate, mean_estimate, weighted_estimate
from evalsuite.stats.stderr import mean_error


def clustered(count: int, size: int, seed: int = 0) -> tuple[list[float], list[int]]:
    draw = random.Random(seed)
    values, labels = [], []
    for label in range(count):
        chance = draw.betavariate(2, 2)
        values += [float(draw.random() < chance) for _ in range(size)]
        labels += [label] * size
    return values, labels


def test_equal_clusters_have_the_error_of_their_means():
    values, labels = clustered(30, 5)
    means = [sum(values[start : start + 5]) / 5 for start in range(0, 150, 5)]
    found = mean_error(values, clusters=labels)
    assert found.stderr == pytest.approx(np.std(means, ddof=1) / math.sqrt(30))
    assert found.units == 30
    assert found.dof <= 29 + 1e-9


def test_equal_clusters_have_statsmodels_cluster_robust_error():
    values, labels = clustered(40, 6, seed=1)
    fitted = sm.OLS(values, np.ones(240)).fit(
        cov_type="cluster", cov_kwds={"groups": labels, "df_correction": True}
    )
    # statsmodels' correction has one more factor, (n - 1) / (n - k), which is 1 for a mean.
    assert mean_error(values, clusters=labels).stderr == pytest.approx(float(fitted.bse[0]))


def test_clusters_of_one_are_plain_documents():
    values = [0.0, 0.25, 0.5, 1.0, 1.0]
    assert mean_error(values, clusters=range(5)).stderr == pytest.approx(mean_error(values).stderr)


def test_unequal_clusters_have_fewer_degrees_of_freedom():
    even = mean_error([0.1 * (n % 7) for n in range(60)], clusters=[n // 6 for n in range(60)])
    uneven = mean_error([0.1 * (n % 7) for n in range(60)], clusters=[max(0, n - 50) for n in range(60)])
    assert uneven.dof < even.dof


def test_a_single_cluster_tells_nothing_of_spread():
    found = mean_estimate([1, 0, 1], ["one"] * 3)
    assert (found.value, found.stderr, found.low, found.clusters) == (pytest.approx(2 / 3), None, None, 1)


def test_documents_that_go_together_have_a_wider_interval():
    values, labels = clustered(30, 10)
    plain, found = mean_estimate(values), mean_estimate(values, labels)
    assert found.value == plain.value
    assert found.high - found.low > plain.high - plain.low
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_other_values_have_students_interval():
    values, labels = [1.1, 1.2, 1.5, 1.6, 1.9, 1.7], [0, 0, 1, 1, 2, 2]
    found, error = mean_estimate(values, labels), mean_error(values, clusters=labels)
    assert found.high - found.value == pytest.approx(float(t.ppf(0.975, error.dof)) * error.stderr)


def test_strata_are_weighted_alike_and_their_variances_add():
    values = [1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    strata = ["small"] * 2 + ["large"] * 6
    found = mean_error(values, strata=strata)
    small, large = mean_error(values[:2]), mean_error(values[2:])
    assert found.value == pytest.approx((small.value + large.value) / 2)
    assert found.stderr == pytest.approx(math.hypot(small.stderr, large.stderr) / 2)
    grouped = macro_estimate({"small": values[:2], "large": values[2:]})
    assert (grouped.value, grouped.stderr) == (pytest.approx(found.value), pytest.approx(found.stderr))


def test_macro_and_clusters_together():
    values, labels = clustered(20, 4)
    found = macro_estimate({"a": values[:40], "b": values[40:]}, {"a": labels[:40], "b": labels[40:]})
    parts = [mean_estimate(values[:40], labels[:40]), mean_estimate(values[40:], labels[40:])]
    assert found.stderr == pytest.approx(math.hypot(*(one.stderr for one in parts)) / 2)
    assert found.clusters == 20


def test_a_group_average_weighs_by_documents_or_alike():
    parts = [mean_estimate([1, 0, 1, 0]), mean_estimate([1, 1, 1, 0] * 4)]
    macro, micro = weighted_estimate(parts), weighted_estimate(parts, [one.n for one in parts])
    assert macro.value == pytest.approx((0.5 + 0.75) / 2)
    assert micro.value == pytest.approx((2 + 12) / 20)
    assert micro.stderr == pytest.approx(math.hypot(0.2 * parts[0].stderr, 0.8 * parts[1].stderr))
    assert macro.n == micro.n == 20
