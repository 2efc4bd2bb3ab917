"""What a comparison can see, against simulation."""

import numpy as np
import pytest

from evalsuite.stats.noninferiority import (
    documents_for_margin,
    margin_needed,
    mean_pass_chance,
    mover_bounds,
    noninferiority,
    pass_chance,
)
from evalsuite.stats.paired import mcnemar_exact
from evalsuite.stats.power import detectable_delta, detectable_mean_delta, documents_needed
from evalsuite.stats.tango import tango_score


def test_the_detectable_difference_is_found_with_the_power_it_says():
    n, discordance = 1319, 0.1
    delta = detectable_delta(n, discordance)
    draw = np.random.default_rng(0)
    lost = draw.binomial(n, (discordance + delta) / 2, 2000)
    gained = draw.binomial(n, (discordance - delta) / 2, 2000)
    scores = np.abs(tango_score(lost, gained, n, 0.0)) > 1.96
    assert scores.mean() == pytest.approx(0.8, abs=0.03)
    exact = np.mean([mcnemar_exact(*pair) < 0.05 for pair in zip(lost[:400], gained[:400], strict=True)])
    assert exact == pytest.approx(0.8, abs=0.07)  # McNemar's exact test is a little conservative


def test_documents_needed_and_detectable_difference_are_inverse():
    assert detectable_delta(documents_needed(0.02, 0.1), 0.1) == pytest.approx(0.02)


def test_without_flips_about_eight_documents_can_be_detected():
    assert detectable_delta(164, 0.0) * 164 == pytest.approx(7.85, abs=0.5)


def test_more_documents_detect_less():
    found = [detectable_delta(n, 0.1) for n in (164, 500, 1319, 14042)]
    assert found == sorted(found, reverse=True)
    assert detectable_delta(3, 0.5) == 1.0


def test_the_detectable_difference_of_means_is_the_t_tests():
    assert detectable_mean_delta(1000, 0.5) == pytest.approx(2.8016 * 0.5 / 1000**0.5, rel=0.002)
    assert detectable_mean_delta(2, 0.5) == float("inf")


@pytest.mark.parametrize(("n", "discordance"), [(164, 0.1), (500, 0.02), (1319, 0.1), (20_000, 0.1)])
def test_the_chance_to_pass_is_what_simulation_shows(n, discordance):
    margin = margin_needed(n, discordance, 0.8, 0.05)
    draw = np.random.default_rng(0)
    lost, gained, _ = draw.multinomial(n, [discordance / 2, discordance / 2, 1 - discordance], 4000).T
    passes = tango_score(gained, lost, n, margin) <= -1.644854
    assert pass_chance(n, discordance, margin, 0.05) == pytest.approx(passes.mean(), abs=0.025)
    assert passes.mean() >= 0.77


@pytest.mark.parametrize("n", [164, 500, 1319, 14042])
@pytest.mark.parametrize("discordance", [0.03, 0.1, 0.3])
def test_a_damage_of_the_whole_margin_passes_no_oftener_than_alpha(n, discordance):
    assert pass_chance(n, discordance, 0.02, 0.05, damage=0.02) <= 0.055


def test_the_advised_number_of_documents_does():
    n = documents_for_margin(0.1, 0.015, 0.8, 0.05)
    assert pass_chance(n, 0.1, 0.015, 0.05) >= 0.8 > pass_chance(0.95 * n, 0.1, 0.015, 0.05)


def test_the_chance_of_other_metrics_is_normal():
    assert mean_pass_chance(100, 0.0, 0.1, 0.05) == 1.0
    assert mean_pass_chance(100, 1.0, 0.1645, 0.05) == pytest.approx(0.5, abs=0.001)


def test_damage_is_how_much_worse_the_candidate_is():
    first, second = [1.0] * 60 + [0.0] * 40, [1.0] * 50 + [0.0] * 50
    found = noninferiority(first, second, 0.05, alpha=0.05)
    assert found.damage == pytest.approx(0.1)
    assert found.low < 0.1 < found.high
    assert not found.within(0.05)
    turned = noninferiority(first, second, 0.05, alpha=0.05, lower_is_better=True)
    assert (turned.damage, turned.within(0.05)) == (pytest.approx(-0.1), True)


def test_bounds_and_p_agree():
    first = [1.0] * 600 + [0.0] * 400
    second = [0.0] * 70 + [1.0] * 530 + [0.0] * 370 + [1.0] * 30
    found = noninferiority(first, second, 0.02, alpha=0.05)
    at_bound = noninferiority(first, second, found.low, alpha=0.05)
    assert at_bound.p_beyond == pytest.approx(0.05, abs=1e-3)


def test_the_bounds_of_a_mean_of_tasks_are_narrower_than_each():
    value, low, high = mover_bounds([(0.0, -0.02, 0.02)] * 4)
    assert (value, low, high) == (0, pytest.approx(-0.01), pytest.approx(0.01))
