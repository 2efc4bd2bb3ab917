"""Verdicts in clusters: the posterior of their correlation, and what intervals make of it."""

import numpy as np
import pytest
from scipy.stats import betabinom

from evalsuite.stats.clusters import _correlations, clusters_of
from evalsuite.stats.intervals import mean_estimate, verdicts_tail
from evalsuite.stats.paired import paired_estimate
from evalsuite.stats.stderr import mean_error
from evalsuite.stats.tango import paired_tail, tango_p


def drawn(draw, count, size, p, correlation):
    """Beta-binomial verdicts of mean p with their labels; sizes 1 + Poisson."""
    labels = np.repeat(np.arange(count), 1 + draw.poisson(size - 1, count))
    scale = (1 - correlation) / correlation
    chances = draw.beta(p * scale, (1 - p) * scale, count)
    return (draw.random(len(labels)) < chances[labels]).astype(float), labels.tolist()


def all_or_nothing(draw, count, size, p, correlation):
    """Whole clusters right or wrong with chance `correlation`, the others independent; geometric sizes."""
    labels = np.repeat(np.arange(count), draw.geometric(1 / size, count))
    whole, right = draw.random(count) < correlation, draw.random(count) < p
    single = draw.random(len(labels)) < p
    return np.where(whole[labels], right[labels], single).astype(float), labels.tolist()


def test_the_posterior_is_that_of_the_beta_binomial():
    verdicts, labels = drawn(np.random.default_rng(0), 30, 5, 0.3, 0.2)
    weights, effects = clusters_of(verdicts, labels).design_effects(0.4)
    ones, sizes = np.bincount(labels, weights=verdicts), np.bincount(labels)
    first, last = 60, 150
    scales = [(1 - rho) / rho for rho in _correlations()[[first, last]]]
    logs = [betabinom.logpmf(ones, sizes, 0.4 * scale, 0.6 * scale).sum() for scale in scales]
    assert np.log(weights[first] / weights[last]) == pytest.approx(logs[0] - logs[1])
    assert effects[first] == pytest.approx(1 + ((sizes**2).sum() / sizes.sum() - 1) * _correlations()[first])


def test_clusters_of_one_leave_nothing_to_correlate():
    verdicts, _ = drawn(np.random.default_rng(1), 100, 2, 0.1, 0.2)
    found, plain = mean_estimate(verdicts.tolist(), range(len(verdicts))), mean_estimate(verdicts.tolist())
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=2e-4)


def test_the_interval_ends_where_the_tail_does():
    verdicts, labels = drawn(np.random.default_rng(2), 60, 6, 0.3, 0.3)
    found, tail = mean_estimate(verdicts, labels), verdicts_tail(verdicts, labels)
    assert (tail(found.low), tail(found.high)) == pytest.approx((0.025, 0.025), abs=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_right_counts_more_than_each_source_once_and_less_than_every_document(value):
    found = mean_estimate([value] * 200, [n // 10 for n in range(200)])
    sources, documents = mean_estimate([value] * 20), mean_estimate([value] * 200)
    assert documents.high - documents.low < found.high - found.low < sources.high - sources.low
    assert value in (found.low, found.high)


def test_without_flips_clusters_leave_a_wider_interval():
    labels = [n // 10 for n in range(200)]
    found, plain = (
        paired_estimate([1.0] * 200, [1.0] * 200, clusters=labels),
        paired_estimate([1.0] * 200, [1.0] * 200),
    )
    assert found.low == pytest.approx(-found.high)
    assert plain.high < found.high < 10 * plain.high


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
@pytest.mark.parametrize(("correlation", "size"), [(0.1, 4), (0.3, 10)])
def test_the_clustered_interval_covers_the_truth_as_often_as_it_says(p, correlation, size):
    """The short form of benchmarks/coverage.py."""
    draw = np.random.default_rng(0)
    hits = [verdicts_tail(*drawn(draw, 500 // size, size, p, correlation))(p) >= 0.025 for _ in range(500)]
    assert 0.93 <= np.mean(hits) <= 0.975


def test_it_covers_also_where_clusters_are_all_or_nothing_and_there_are_enough_of_them():
    draw = np.random.default_rng(0)
    hits = [verdicts_tail(*all_or_nothing(draw, 400, 5, 0.3, 0.2))(0.3) >= 0.025 for _ in range(1000)]
    assert 0.93 <= np.mean(hits) <= 0.975


def test_the_paired_clustered_interval_covers_the_truth_as_often_as_it_says():
    """Flips come in clusters, and so do their directions; the true difference is 3 points."""
    draw, hits = np.random.default_rng(0), 0
    for _ in range(400):
        changed, labels = drawn(draw, 125, 4, 0.1, 0.2)
        worse = draw.beta(0.65 * 4, 0.35 * 4, 125)[labels]
        differences = changed * np.where(draw.random(len(changed)) < worse, -1.0, 1.0)
        tail = paired_tail(differences, mean_error(differences, clusters=labels), clusters=labels)
        lost, gained = float((differences < 0).sum()), float((differences > 0).sum())
        hits += 0.025 <= tango_p(lost, gained, len(differences), -0.03, tail) <= 0.975
    assert 0.93 <= hits / 400 <= 0.975
