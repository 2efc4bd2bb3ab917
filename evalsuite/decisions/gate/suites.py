"""Judges means of suites that a policy names, by the bounds of their tasks.

Public names: `SuiteRule`, `suite_rules`, `suite_chance`, `judge_suite`, `suites_noise`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from evalsuite.decisions.gate.document import Outcome, SuiteVerdict
from evalsuite.decisions.gate.judge import TaskDecision
from evalsuite.decisions.gate.policy import Policy, Rule, SuitePolicy
from evalsuite.decisions.gate.power import Prospect, half_width
from evalsuite.decisions.gate.reasons import pooled_reason
from evalsuite.decisions.seeds.document import SeedNoise
from evalsuite.decisions.seeds.measured import Seeds
from evalsuite.decisions.seeds.suites import suite_noise
from evalsuite.errors import UnknownName, UserError
from evalsuite.results.runlog import RunLog, SuiteMeanRecord
from evalsuite.stats.combined import Part, combined
from evalsuite.stats.intervals import Estimate
from evalsuite.stats.seeds import sd_of_sum


@dataclass(frozen=True)
class SuiteRule:
    """A mean of a suite with its rule."""

    name: str
    mean: SuiteMeanRecord
    policy: SuitePolicy
    missing: str
    """Reason why the candidate's value is another one; empty if both have the same suite."""


def suite_rules(
    policy: Policy, rules: Mapping[str, Rule], baseline: RunLog, candidate: RunLog
) -> tuple[SuiteRule, ...]:
    """The rule of each mean that the policy names.

    Raises:
        UserError: the baseline has no such suite, or no value of it, or the policy judges one of its tasks by
            another metric.
    """
    known = {
        suite.label(name): (suite, mean) for suite in baseline.suites for name, mean in suite.means.items()
    }
    others = {suite.name: suite.sha256 for suite in candidate.suites}
    found = []
    for name, own in policy.suites.items():
        if name not in known:
            have = f"The policy lists it; the baseline has {', '.join(known) or 'none'}."
            raise UnknownName("suite", name, known, have)
        suite, mean = known[name]
        if mean.score is None:
            raise UserError(f"The baseline has no value of {name}, since {mean.problem}.")
        if bad := [term.task for term in mean.terms if rules[term.task].metric != term.metric]:
            raise UserError(f"The policy judges {', '.join(bad)} by another metric than {name} does.")
        missing = ""
        if others.get(suite.name) != suite.sha256:
            version = "another version of" if suite.name in others else "not run"
            missing = f"the candidate has {version} the suite {suite.name}"
        found.append(SuiteRule(name, mean, own, missing))
    return tuple(found)


def suite_chance(rule: SuiteRule, tasks: Mapping[str, Prospect], alpha: float, margin: float) -> float:
    """Probability that an unchanged candidate passes, as `power.pooled_chance`."""
    from scipy.stats import norm

    parts = [(term, tasks[term.task]) for term in rule.mean.terms]
    deviation = sd_of_sum(
        [(term.shared, term.weight * math.sqrt(one.discordance / one.effective_n)) for term, one in parts]
    )
    bound = sd_of_sum([(term.shared, term.weight * half_width(one, alpha)) for term, one in parts])
    return float(norm.cdf((margin - bound) / deviation)) if deviation else float(bound <= margin)


def suites_noise(
    rules: tuple[SuiteRule, ...], tasks: Mapping[str, SeedNoise], seeds: Seeds | None
) -> dict[str, SeedNoise]:
    """The noise between seeds of each mean for which it is known."""
    found = {rule.name: suite_noise(rule.name, rule.mean, tasks, seeds) for rule in rules}
    return {name: noise for name, noise in found.items() if noise is not None}


def judge_suite(
    rule: SuiteRule, judged: Mapping[str, TaskDecision], chance: float, noise: SeedNoise | None
) -> SuiteVerdict:
    """The verdict on the weighted sum of the tasks' damages."""
    parts = []
    for term in rule.mean.terms:
        result = judged[term.task].result
        if result is not None and result.low is not None and result.high is not None:
            score = Estimate(result.damage, None, result.low, result.high, result.n)
            parts.append(Part(term.weight, score, term.shared))
    names = tuple(term.task for term in rule.mean.terms)
    lacking = [name for name in names if judged[name].problem or judged[name].result is None]
    margin = rule.policy.margin
    outcome: Outcome = "INCONCLUSIVE"
    damage = low = high = None
    if not rule.missing and len(parts) == len(names):
        whole = combined(parts)
        damage, low, high = whole.value, whole.low, whole.high
        outcome = _outcome(low, high, margin, bool(lacking))
    reason = pooled_reason(outcome, margin, damage, low, high, lacking, rule.mean.metric)
    return SuiteVerdict(
        name=rule.name,
        metric=rule.mean.metric,
        tier=rule.policy.tier,
        decides=rule.policy.tier == "critical" and outcome != "PASS",
        outcome=outcome,
        reason=f"{rule.missing[0].upper()}{rule.missing[1:]}." if rule.missing else reason,
        tasks=names,
        margin=margin,
        damage=damage,
        low=low,
        high=high,
        pass_chance=chance,
        seed_noise=noise,
    )


def _outcome(low: float | None, high: float | None, margin: float, lacking: bool) -> Outcome:
    if low is not None and low > margin:
        return "FAIL"
    return "PASS" if high is not None and high <= margin and not lacking else "INCONCLUSIVE"
