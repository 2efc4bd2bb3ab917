"""The difference of two equal trainings, by simulation."""

import numpy as np
import pytest

from evalsuite.stats.seeds import apart_by_chance, sd_of_mean


@pytest.mark.parametrize("trainings", [2, 3, 8])
def test_two_further_trainings_exceed_it_as_often_as_said(trainings):
    draw = np.random.default_rng(trainings)
    scores = draw.normal(0.4, 0.03, (40_000, trainings + 2))
    spread = scores[:, :trainings].std(axis=1, ddof=1)
    one, other = scores[:, -2], scores[:, -1]
    beyond = np.mean(one - other > apart_by_chance(1.0, trainings, 0.05) * spread)
    assert beyond == pytest.approx(0.05, abs=0.004)


def test_the_mean_of_independent_tasks_varies_less_and_unknown_tasks_count_as_quiet():
    draw = np.random.default_rng(0)
    scores = draw.normal(0, [0.02, 0.05, 0.01], (100_000, 3)).mean(axis=1)
    assert sd_of_mean([0.02, 0.05, 0.01], 3) == pytest.approx(scores.std(), rel=0.01)
    assert sd_of_mean([0.05], 3) < sd_of_mean([0.02, 0.05, 0.01], 3)
