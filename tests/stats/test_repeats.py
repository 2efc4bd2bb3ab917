"""pass@k, maj@k and the split of the error, by enumeration and simulation."""

from itertools import combinations

import numpy as np
import pytest

from evalsuite.stats.bootstrap import bootstrap_interval
from evalsuite.stats.intervals import mean_estimate
from evalsuite.stats.repeats import (
    majority_at_k,
    majority_at_k_estimate,
    metric_split,
    pass_at_k,
    pass_at_k_estimate,
    variance_split,
)


@pytest.mark.parametrize("correct", range(7))
@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_pass_at_k_is_the_share_of_subsets_with_a_right_answer(correct, k):
    answers = [1] * correct + [0] * (6 - correct)
    subsets = list(combinations(answers, k))
    assert pass_at_k(correct, 6, k) == pytest.approx(sum(any(one) for one in subsets) / len(subsets))


@pytest.mark.parametrize(("correct", "answers", "k"), [(1, 4, 5), (5, 4, 1), (0, 4, 0)])
def test_more_answers_than_there_are_is_a_mistake(correct, answers, k):
    with pytest.raises(ValueError, match="cannot be computed"):
        pass_at_k(correct, answers, k)


def test_the_error_of_pass_at_k_is_of_documents():
    correct = [0, 3, 10, 5] * 10
    found = pass_at_k_estimate(correct, [10] * 40, 5)
    values = [pass_at_k(one, 10, 5) for one in correct]
    assert (found.n, found.stderr) == (40, mean_estimate(values).stderr)


@pytest.mark.parametrize("chance", [0.5, 0.9, 0.95])
def test_the_interval_of_pass_at_k_covers_the_truth_also_where_nearly_all_is_solved(chance):
    """The short form of benchmarks/coverage.py; it may cover more where next to nothing fails."""
    draw = np.random.default_rng(0)
    chances = draw.beta(chance * 2, (1 - chance) * 2, 200_000)
    truth, hits = (1 - (1 - chances) ** 5).mean(), 0
    for _ in range(400):
        found = pass_at_k_estimate(draw.binomial(10, draw.choice(chances, 164)).tolist(), [10] * 164, 5)
        hits += found.low <= truth <= found.high
    assert 0.93 <= hits / 400 <= 0.985


def test_majority_of_all_is_the_plain_vote():
    answers, right = list("aaabbc"), [True] * 3 + [False] * 3
    assert majority_at_k(answers, right, 6) == 1.0
    assert majority_at_k(answers, right, 1) == pytest.approx(0.5)


def test_tied_answers_share_the_vote_and_missing_ones_have_none():
    assert majority_at_k(["a", "b"], [True, False], 2) == 0.5
    assert majority_at_k(["a", None, None], [True, False, False], 3) == 1.0
    assert majority_at_k([None, None], [False, False], 2) == 0.0


def test_drawn_subsets_come_near_all_of_them():
    answers = [str(n % 5) for n in range(24)]
    right = [answer == "0" for answer in answers]
    drawn = majority_at_k(answers, right, 9)  # 1.3 million subsets
    draw = np.random.default_rng(1)
    votes = []
    for _ in range(4000):
        some = [answers[place] for place in draw.choice(24, 9, replace=False)]
        counts = {one: some.count(one) for one in set(some)}
        winners = [one for one, count in counts.items() if count == max(counts.values())]
        votes.append(("0" in winners) / len(winners))
    assert drawn == pytest.approx(np.mean(votes), abs=0.02)


def test_majority_has_a_bootstrap_interval():
    answers = [["a", "b", "a"], ["c", "c", "d"], ["e", "f", "g"]] * 10
    right = [[True, False, True], [False, False, False], [True, False, False]] * 10
    found = majority_at_k_estimate(answers, right, 2)
    assert found.low < found.value < found.high
    assert found.n == 30


def test_the_split_finds_both_variances():
    draw = np.random.default_rng(0)
    chances = draw.beta(2, 2, 400)
    values = (draw.random((400, 8)) < chances[:, None]).astype(float)
    found = variance_split(values.tolist())
    assert found.stderr == pytest.approx(mean_estimate(values.mean(axis=1).tolist()).stderr)
    assert found.stderr**2 == pytest.approx(found.problems**2 + found.sampling**2)
    assert found.problems**2 * 400 == pytest.approx(0.05, rel=0.2)  # variance of beta(2, 2)
    assert found.sampling**2 * 400 * 8 == pytest.approx(0.2, rel=0.1)  # E[p (1 - p)]


@pytest.mark.parametrize("name", ["pass@1", "pass@4", "maj@8"])
def test_the_sampling_part_is_near_the_spread_of_re_runs(name):
    draw = np.random.default_rng(3)
    chances = draw.beta(1, 1, 300)

    def values_of(right):
        counts = right.sum(axis=1)
        if name == "maj@8":  # all wrong answers are alike; four against four goes to the first
            return (counts > 4) | ((counts == 4) & right[:, 0])
        return np.array([pass_at_k(int(one), 8, int(name[-1])) for one in counts])

    runs = [draw.random((300, 8)) < chances[:, None] for _ in range(100)]
    spread = np.std([values_of(right).mean() for right in runs])
    found = [
        metric_split(name, values_of(right).astype(float), right.tolist(), np.where(right, "a", "b").tolist())
        for right in runs[:5]
    ]
    assert np.mean([one.sampling for one in found]) == pytest.approx(spread, rel=0.2)


def test_a_split_needs_two_answers():
    with pytest.raises(ValueError, match="two answers"):
        variance_split([[1.0], [0.0]])


def test_the_bootstrap_comes_near_the_formula_and_repeats_itself():
    values = np.random.default_rng(0).normal(0, 1, 300)
    low, high = bootstrap_interval(values)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std(ddof=1) / 300**0.5, rel=0.05)
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval([0.5] * 9) == (0.5, 0.5)


def test_the_bootstrap_draws_whole_clusters():
    values = np.repeat(np.random.default_rng(0).normal(0, 1, 40), 10)
    plain = bootstrap_interval(values)
    drawn = bootstrap_interval(values, clusters=[n // 10 for n in range(400)])
    assert drawn[1] - drawn[0] > 2.5 * (plain[1] - plain[0])


def test_the_bootstrap_takes_any_statistic():
    low, high = bootstrap_interval(np.arange(101.0), statistic=np.median)
    assert low < 50 < high
    with pytest.raises(ValueError, match="support only the mean"):
        bootstrap_interval([1.0, 2.0], statistic=np.median, clusters=[0, 1])
