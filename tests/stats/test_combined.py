"""Weighted sums of scores."""

import math

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from evalsuite.stats.combined import Part, combined
from evalsuite.stats.intervals import Estimate


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


TASKS = [
    (10042, 0.40, 0.25),
    (2117, 0.09, 0.0),
    (20321, 0.52, 0.0),
    (2376, 0.65, 0.25),
    (1172, 0.34, 0.25),
    (100, 0.65, 0.5),
    (1221, 0.30, 0.2),
    (1838, 0.68, 0.5),
    (500, 0.33, 0.25),
    (5153, 0.38, 0.0),
    (10042, 0.40, 0.25),
    (273, 0.64, 0.5),
    (1267, 0.53, 0.5),
    (1000, 0.15, 0.0),
    (230, 0.25, 0.2),
    (1320, 0.36, 0.0),
    (210, 0.20, 0.0),
    (32, 0.02, 0.0),
    (10570, 0.25, 0.0),
    (7983, 0.20, 0.0),
    (3270, 0.55, 0.62),
    (10000, 0.26, 0.091),
]
"""Documents, true score and baseline of tasks like CORE's."""


@pytest.mark.parametrize("limit", [None, 50])
def test_the_interval_of_a_centred_mean_of_22_tasks_holds_the_truth_in_95_percent(limit):
    rounds, draw = 3000, np.random.default_rng(0)
    weights = [1 / (22 * (1 - baseline)) for _, _, baseline in TASKS]
    offset = -sum(weight * baseline for weight, (_, _, baseline) in zip(weights, TASKS, strict=True))
    truth = offset + sum(weight * score for weight, (_, score, _) in zip(weights, TASKS, strict=True))
    columns = []
    for documents, score, _ in TASKS:
        n = min(documents, limit or documents)
        right = draw.binomial(n, score, rounds)
        low, high = proportion_confint(right, n, method="wilson")
        columns.append([Estimate(*row, n) for row in zip(right / n, [0.0] * rounds, low, high, strict=True)])
    found = [
        combined([Part(weight, one) for weight, one in zip(weights, row, strict=True)], offset)
        for row in zip(*columns, strict=True)
    ]
    share = sum(one.low <= truth <= one.high for one in found) / rounds
    print(f"coverage {share:.1%}")
    assert 0.93 <= share <= 0.97
