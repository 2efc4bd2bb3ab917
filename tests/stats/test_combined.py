"""Weighted sums of scores."""

import math
import random

import pytest

from evalsuite.stats.combined import Part, combined
from evalsuite.stats.intervals import Estimate, mean_estimate


def test_value_error_and_offset():
    parts = [Part(0.5, Estimate(0.4, 0.03, 0.3, 0.5, 10)), Part(0.25, Estimate(0.8, 0.04, 0.7, 0.85, 20))]
    found = combined(parts, -0.1)
    assert found.value == pytest.approx(0.3)
    assert found.stderr == pytest.approx(math.hypot(0.015, 0.01))
    assert found.low == pytest.approx(0.3 - math.hypot(0.05, 0.025))
    assert found.high == pytest.approx(0.3 + math.hypot(0.05, 0.0125))
    assert found.n == 30


def test_errors_over_the_same_documents_add_up():
    score = Estimate(0.4, 0.03, 0.3, 0.5, 10)
    apart = combined([Part(0.5, score), Part(0.5, score)])
    together = combined([Part(0.5, score, "same"), Part(0.5, score, "same")])
    assert apart.stderr == pytest.approx(0.03 / math.sqrt(2))
    assert (together.stderr, together.low, together.high) == pytest.approx((0.03, 0.3, 0.5))


def test_a_score_without_an_interval_leaves_none():
    found = combined([Part(0.5, Estimate(1.0, None, None, None, 1)), Part(0.5, Estimate(0, 0.1, -1, 1, 9))])
    assert (found.value, found.stderr, found.low) == (0.5, None, None)


def test_a_mean_of_small_tasks_is_covered():
    """Tasks of 30 to 200 documents, some of them near 0, which have a standard error of 0 at times."""
    truths, sizes = [0.02, 0.01, 0.3, 0.55, 0.9, 0.25], [32, 60, 100, 200, 80, 120]
    draw, inside, rounds = random.Random(1), 0, 400
    truth = sum(truths) / len(truths)
    for _ in range(rounds):
        scores = [
            mean_estimate([float(draw.random() < share) for _ in range(n)])
            for share, n in zip(truths, sizes, strict=True)
        ]
        found = combined([Part(1 / len(truths), score) for score in scores])
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= truth <= found.high
    assert 0.93 * rounds <= inside <= 0.985 * rounds
