"""Noise between seeds: measured from runs, published, in the gate and in the trend."""

import re
import statistics

import pytest
from typer.testing import CliRunner

import evalsuite
from evalsuite.cli.app import app
from evalsuite.decisions.gate.policy import Policy
from evalsuite.decisions.seeds.published import published_table
from evalsuite.decisions.trend.table import trend_markdown
from evalsuite.errors import UserError
from tests.fabricate import Made, fabricate, verdicts

DOCUMENTS = 2000


def made(folder, right, address="", model=None, **log):
    """A finished run with that many right answers, of a task named `arc` or by its address."""
    metric = "acc_tokens" if address.startswith("core/") else "acc"
    record = {"address": address} if address else {}
    values = Made(verdicts(right, DOCUMENTS - right), metric=metric, record=record)
    return fabricate(folder, {address.split("@")[0] or "arc": values}, **log)


def rules(margin, name="arc"):
    return Policy.model_validate(
        {"tasks": {name: {"tier": "critical", "margin": margin, "discordance": 0.02}}, "pooled": None}
    )


@pytest.fixture
def seeds(tmp_path):
    """Three trainings with a standard deviation of 0.02."""
    return [made(tmp_path / f"seed{place}", right) for place, right in enumerate((960, 1000, 1040))]


def test_a_margin_within_the_noise_of_two_seeds_is_refused_with_the_numbers(tmp_path, seeds):
    one, other = made(tmp_path / "one", 1000), made(tmp_path / "other", 1000)
    with pytest.raises(UserError) as refused:
        evalsuite.gate(one, other, rules(0.05), seeds=seeds)
    assert "The margin of arc, 5.00, lies within the noise of two seeds" in str(refused.value)
    assert "more than 8.26" in str(refused.value)
    assert "standard deviation 2.00; 3 trainings, seed0, seed1, seed2" in str(refused.value)
    assert "--allow-noise" in str(refused.value)


def test_allow_noise_judges_and_lists_the_margins(tmp_path, seeds):
    one, other = made(tmp_path / "one", 1000), made(tmp_path / "other", 1000)
    found = evalsuite.gate(one, other, rules(0.05), seeds=seeds, allow_noise=True)
    assert found.outcome == "PASS"
    assert len(found.within_noise) == 1
    assert found.tasks[0].seed_noise.sd == pytest.approx(0.02)
    wide = evalsuite.gate(one, other, rules(0.09), seeds=seeds)
    assert wide.within_noise == ()


def test_advisory_tasks_may_be_noisy_and_the_mean_is_measured_on_the_runs(tmp_path):
    seeds = [
        fabricate(tmp_path / f"s{place}", {"a": verdicts(up, 400 - up), "b": verdicts(down, 400 - down)})
        for place, (up, down) in enumerate([(180, 220), (200, 200), (220, 180)])
    ]
    policy = Policy.model_validate({"default": {"discordance": 0.02}, "pooled": {"margin": 0.02}})
    with pytest.raises(UserError, match=r"The margin of a, 2\.00, .* So do those of b\."):
        evalsuite.gate(seeds[0], seeds[1], policy, seeds=seeds)
    found = evalsuite.gate(seeds[0], seeds[1], policy, seeds=seeds, allow_noise=True)
    assert found.pooled.seed_noise.sd == pytest.approx(0, abs=1e-12)  # a rises as b falls
    advisory = Policy.model_validate(
        {"tasks": {"a": {"tier": "advisory"}, "b": {"tier": "advisory"}}, "pooled": None}
    )
    with pytest.raises(UserError, match="decides nothing"):
        evalsuite.gate(seeds[0], seeds[1], advisory, seeds=seeds)


@pytest.mark.parametrize(
    ("address", "noisy"),
    [
        ("core/commonsense_qa@10", True),
        ("core/hellaswag@10", False),
        ("olmes/commonsense_qa@5", False),
    ],
)
def test_published_noise_serves_tasks_of_the_same_recipe_alone(tmp_path, address, noisy):
    runs = [made(tmp_path / name, 1000, address) for name in ("one", "other")]
    policy = rules(0.02, address.split("@")[0])
    if not noisy:
        assert evalsuite.gate(*runs, policy).within_noise == ()
        return
    with pytest.raises(UserError, match=r"standard deviation 6\.52; eight public trainings of nanochat d20"):
        evalsuite.gate(*runs, policy)
    assert evalsuite.gate(*runs, policy, allow_noise=True).within_noise


def test_every_published_row_names_its_source():
    table = published_table()
    assert {row.source for row in table.tasks.values()} <= set(table.sources)
    assert len(table.tasks) == 22


def test_bad_seeds_get_one_sentence(tmp_path, seeds):
    one = made(tmp_path / "one", 1000)
    with pytest.raises(UserError, match="at least two trainings"):
        evalsuite.gate(one, one, rules(0.09), seeds=seeds[:1])
    with pytest.raises(UserError, match="have the same weights"):
        evalsuite.gate(one, one, rules(0.09), seeds=[seeds[0], seeds[0]])
    other = fabricate(tmp_path / "short", {"arc": verdicts(5, 5)})
    with pytest.raises(UserError, match=re.escape(f"{other} scored arc by another prompt spec or on other")):
        evalsuite.gate(one, one, rules(0.09), seeds=[seeds[0], other])
    steps = [made(tmp_path / f"step-{step}", 1000 + step) for step in (10, 20)]
    with pytest.raises(UserError, match="of steps 10, 20"):
        evalsuite.gate(one, one, rules(0.09), seeds=steps)


def test_trend_shows_the_noise_of_two_seeds_beside_that_of_steps(tmp_path, seeds):
    runs = [made(tmp_path / f"step-{step}", 900 + 20 * step) for step in range(6)]
    found = evalsuite.trend(*runs, seeds=seeds)
    assert found.tasks[0].seed_noise.sd == pytest.approx(statistics.stdev([0.48, 0.5, 0.52]))
    assert found.average.seed_noise.trainings == 3
    assert "| 8.26 |" in trend_markdown(found)
    assert evalsuite.trend(*runs).tasks[0].seed_noise is None


def test_the_command_line_refuses_and_allows(tmp_path, seeds):
    one, other = made(tmp_path / "one", 1000), made(tmp_path / "other", 1000)
    policy = tmp_path / "policy.yaml"
    policy.write_text("pooled: null\ntasks: {arc: {tier: critical, margin: 0.05, discordance: 0.02}}\n")
    asked = ["gate", "--baseline", one, "--candidate", other, "--policy", policy]
    asked += [part for seed in seeds for part in ("--seeds", seed)]
    refused = CliRunner().invoke(app, [*map(str, asked)])
    assert refused.exit_code == 3
    assert "lies within the noise of two seeds" in refused.output.replace("\n", " ")
    allowed = CliRunner().invoke(app, [*map(str, asked), "--allow-noise"])
    assert allowed.exit_code == 0
    assert "lies within the noise of two seeds" in allowed.output.replace("\n", " ")
