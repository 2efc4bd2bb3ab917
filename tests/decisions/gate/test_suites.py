"""Suites in the gate: named by a policy, judged by the bounds of their tasks."""

import pytest

import evalsuite
from evalsuite.decisions.gate.junit import junit_xml
from evalsuite.decisions.gate.policy import Policy, Rule
from evalsuite.decisions.gate.suites import suite_rules
from evalsuite.decisions.gate.table import gate_lines
from evalsuite.errors import UnknownName, UserError
from evalsuite.results.read import open_run
from tests.decisions.trend.test_suites import run, suite


def policy(margin, tier="critical", name="ours main", **more):
    fields = {
        "default": {"discordance": 0.02},
        "pooled": None,
        "suites": {name: {"margin": margin, "tier": tier}},
    }
    return Policy.model_validate(fields | more)


@pytest.fixture
def baseline(tmp_path):
    return run(tmp_path / "baseline", 500, 700)


def gate(baseline, candidate, *given, **more):
    return evalsuite.gate(baseline, candidate, policy(*given), **more)


def test_an_equal_candidate_passes_and_the_damage_is_the_weighted_sum(baseline, tmp_path):
    found = gate(baseline, run(tmp_path / "c", 495, 702), 0.05)
    [verdict] = found.suites
    assert found.outcome == verdict.outcome == "PASS"
    assert verdict.damage == pytest.approx((0.005 / 0.75 - 0.002 / 0.5) / 2)
    assert verdict.low < verdict.damage < verdict.high <= 0.05
    assert found.pass_chance == verdict.pass_chance > 0.8
    assert found.reason == "Shown to be within the margin: ours main."


def test_a_worse_candidate_fails_on_the_suite(baseline, tmp_path):
    found = gate(baseline, run(tmp_path / "c", 400, 600), 0.05)
    assert found.outcome == "FAIL"
    assert "ours main" in found.reason
    assert any(line.startswith("ours main: The mean damage") for line in gate_lines(found))
    assert b'name="ours main"' in junit_xml(found)


def test_an_advisory_suite_is_reported_alone(baseline, tmp_path):
    found = evalsuite.gate(
        baseline,
        run(tmp_path / "c", 490, 690),
        policy(0.0001, "advisory", tasks={"quiz": {"tier": "critical", "margin": 0.06}}),
    )
    assert found.suites[0].outcome != "PASS"
    assert not found.suites[0].decides
    assert found.outcome == "PASS"


def test_a_margin_without_power_is_refused_with_one_that_has_it(baseline, tmp_path):
    with pytest.raises(UserError, match=r"ours main passes with probability .* at margin 0\.001; margin"):
        gate(baseline, run(tmp_path / "c", 500, 700), 0.001)


def test_a_suite_that_the_baseline_lacks_is_refused_with_the_nearest(baseline, tmp_path):
    with pytest.raises(UnknownName, match="Did you mean ours main"):
        gate(baseline, run(tmp_path / "c", 500, 700), 0.05, "critical", "ours mian")


def test_another_version_in_the_candidate_gives_no_verdict(baseline, tmp_path):
    other = run(tmp_path / "c", 500, 700, suite({"quiz": 0.25, "pairs": 0.5}, version=2))
    found = gate(baseline, other, 0.05)
    assert found.outcome == "INCONCLUSIVE"
    assert found.suites[0].reason == "The candidate has another version of the suite ours."


def test_a_task_judged_by_another_metric_is_refused(baseline):
    rules = {
        name: Rule("supporting", 0.1, metric, 0.1) for name, metric in (("quiz", "f1"), ("pairs", "acc"))
    }
    log = open_run(baseline).log
    with pytest.raises(UserError, match="judges quiz by another metric than ours main does"):
        suite_rules(policy(0.05), rules, log, log)


def test_a_margin_within_the_noise_of_seeds_is_refused(baseline, tmp_path):
    seeds = [run(tmp_path / f"seed{place}", 500 + 60 * place, 700) for place in range(3)]
    candidate = run(tmp_path / "c", 500, 700)
    with pytest.raises(UserError, match=r"The margin of suite ours main, 5\.00, lies within the noise"):
        gate(baseline, candidate, 0.05, seeds=seeds)
    found = gate(baseline, candidate, 0.05, seeds=seeds, allow_noise=True)
    assert found.outcome == "PASS"
    assert found.suites[0].seed_noise.trainings == 3


def test_a_policy_with_an_advisory_suite_alone_decides_nothing(baseline, tmp_path):
    with pytest.raises(UserError, match="decides nothing"):
        gate(baseline, run(tmp_path / "c", 500, 700), 0.05, "advisory")
