"""Refuses margins that lie within the noise of two seeds.

Public names: `GateNoise`, `gate_noise`, `margins_within_noise`, `refuse_noise`.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from evalsuite.decisions.gate.policy import Policy, Rule
from evalsuite.decisions.gate.reasons import points
from evalsuite.decisions.seeds.document import SeedNoise
from evalsuite.decisions.seeds.measured import Seeds
from evalsuite.decisions.seeds.noise import seed_noise
from evalsuite.errors import UserError
from evalsuite.results.read import RunSide
from evalsuite.results.runlog import TaskRecord
from evalsuite.stats.seeds import sd_of_mean


@dataclass(frozen=True)
class GateNoise:
    """The noise between seeds of what a gate judges, as far as it is known."""

    tasks: Mapping[str, SeedNoise]
    pooled: SeedNoise | None
    """That of the mean over the pooled tasks; a lower bound where the noise of a task is unknown."""
    suites: Mapping[str, SeedNoise] = field(default_factory=dict)
    """That of the suites that the policy names."""


def gate_noise(
    rules: Mapping[str, Rule], pooled: Sequence[str], baseline: RunSide, seeds: Seeds | None
) -> GateNoise:
    """The noise between seeds of each task and of the mean over the pooled ones.

    Raises:
        UserError: a run scored a task by another prompt spec, or on other documents.
    """
    judged = {name: (baseline.tasks[name], rule.metric) for name, rule in rules.items()}
    known = seed_noise(judged, seeds)
    if seeds is not None and pooled:
        return GateNoise(known, seeds.noise_of_mean(partial(_mean, rules, pooled)))
    parts = [known[name] for name in pooled if name in known]
    if not parts:
        return GateNoise(known, None)
    source = f"{len(parts)} of {len(pooled)} tasks: {', '.join(dict.fromkeys(p.source for p in parts))}"
    sd = sd_of_mean([part.sd for part in parts], len(pooled))
    return GateNoise(known, SeedNoise(sd=sd, trainings=min(part.trainings for part in parts), source=source))


def _mean(rules: Mapping[str, Rule], pooled: Sequence[str], tasks: Mapping[str, TaskRecord]) -> float | None:
    scores = [tasks[name].metrics.get(rules[name].metric) for name in pooled if name in tasks]
    values = [score.value for score in scores if score is not None]
    return statistics.fmean(values) if len(values) == len(pooled) else None


def margins_within_noise(
    policy: Policy, rules: Mapping[str, Rule], noise: GateNoise, metrics: Mapping[str, str]
) -> dict[str, str]:
    """By name, one sentence on each margin that two equal trainings would often exceed; none if advisory.

    A margin lies within the noise if a training with another seed would be worse by more than the margin
    with a probability above the policy's alpha.

    Args:
        policy: the policy.
        rules: rules of tasks, by name.
        noise: noise of tasks, suites and the pooled mean.
        metrics: metrics of the suites that the policy names.
    """
    found = {
        f"suite {name}": _sentence(
            f"suite {name}", suite.margin, metrics[name], noise.suites[name], policy.alpha
        )
        for name, suite in policy.suites.items()
        if suite.tier != "advisory"
        and name in noise.suites
        and noise.suites[name].apart(policy.alpha) > suite.margin
    }
    found |= {
        name: _sentence(name, rule.margin, rule.metric, noise.tasks[name], policy.alpha)
        for name, rule in rules.items()
        if rule.tier != "advisory"
        and name in noise.tasks
        and noise.tasks[name].apart(policy.alpha) > rule.margin
    }
    pooled, mean = policy.pooled, noise.pooled
    if pooled is not None and mean is not None and mean.apart(policy.alpha) > pooled.margin:
        found["the mean"] = _sentence("the mean", pooled.margin, "", mean, policy.alpha)
    return found


def refuse_noise(within: Mapping[str, str]) -> None:
    """Raises UserError if a margin lies within the noise of two seeds; `within` has sentences by name."""
    if within:
        first, *others = within
        more = f" So do those of {', '.join(others)}." if others else ""
        raise UserError(
            f"{within[first]}{more} A verdict would mean little for a candidate of another training: widen "
            "the margin, make the task advisory, or judge all the same with --allow-noise (for example where "
            "both models come from one training)."
        )


def _sentence(name: str, margin: float, metric: str, noise: SeedNoise, alpha: float) -> str:
    return (
        f"The margin of {name}, {points(margin, metric)}, lies within the noise of two seeds: equal "
        f"trainings differ by more than {points(noise.apart(alpha), metric)} in one direction with a "
        f"probability of {alpha:.0%} (standard deviation {points(noise.sd, metric)}; {noise.source})."
    )
