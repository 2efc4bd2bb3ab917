"""Writes the reasons of a gate's verdicts as sentences.

Public names: `task_reason`, `pooled_reason`, `overall_reason`, `points`.
"""

import math
from collections.abc import Sequence

from evalsuite.decisions.gate.document import Outcome, PooledVerdict, SuiteVerdict, TaskVerdict
from evalsuite.decisions.gate.policy import Policy, Rule
from evalsuite.decisions.gate.power import Prospect, round_up
from evalsuite.stats.metrics import lower_is_better
from evalsuite.stats.noninferiority import (
    NonInferiority,
    documents_for_margin,
    margin_needed,
    pass_chance,
)


def points(value: float | None, metric: str = "", *, signed: bool = False) -> str:
    """A score or damage as text, in points of 100, or in the metric's own unit if lower is better."""
    if value is None:
        return "—"
    scaled, digits = (value, 4) if lower_is_better(metric) else (100 * value, 2)
    return f"{scaled:{'+' if signed else ''}.{digits}f}"


def task_reason(
    rule: Rule,
    prospect: Prospect,
    result: NonInferiority | None,
    outcome: Outcome,
    problem: str,
    policy: Policy,
) -> str:
    """The reason for a task's outcome."""
    if result is None or result.high is None:
        return _sentence(problem or "a single document or source gives no interval")
    confidence = f"{1 - policy.alpha:.0%}"
    damage, margin = points(result.damage, rule.metric, signed=True), points(rule.margin, rule.metric)
    if outcome == "FAIL":
        return (
            f"The damage of {damage} is above {points(result.low, rule.metric)} with {confidence} "
            f"confidence; the margin is {margin}."
        )
    bound = f"the damage of {damage} is below {points(result.high, rule.metric)} with {confidence} confidence"
    if outcome == "PASS":
        return _sentence(f"{bound}; the margin is {margin}")
    if problem:
        return _sentence(f"{problem}; {bound}")
    needed = _needed(rule, prospect, result, policy)
    return _sentence(f"{bound}, which is more than the margin of {margin}{needed}")


def _needed(rule: Rule, prospect: Prospect, result: NonInferiority, policy: Policy) -> str:
    """Margin or documents that would suffice, if the observed discordance leaves too little power."""
    if not result.binary or not result.discordance:
        return ""
    discordance = min(1.0, max(result.discordance - result.damage**2, 1 / result.n))
    chance = pass_chance(result.effective_n, discordance, rule.margin, policy.alpha)
    if chance >= policy.power:
        return ""
    margin = margin_needed(result.effective_n, discordance, policy.power, policy.alpha)
    more = documents_for_margin(discordance, rule.margin, policy.power, policy.alpha)
    documents = math.ceil(more * result.n / result.effective_n)
    return (
        f"; {result.discordance:.1%} of the documents changed ({prospect.discordance:.1%} assumed), so that "
        f"an equal candidate passes with probability {chance:.0%}; margin {round_up(margin)} or "
        f"{documents:,} documents would suffice"
    )


def pooled_reason(
    outcome: Outcome,
    margin: float,
    damage: float | None,
    low: float | None,
    high: float | None,
    lacking: Sequence[str],
    metric: str = "",
) -> str:
    """The reason for the outcome of a mean of that metric; empty for scores."""
    if damage is None:
        return f"The mean lacks {', '.join(lacking) or 'an interval of a task'}."
    start = f"The mean damage of {points(damage, metric, signed=True)} is"
    if outcome == "FAIL":
        return f"{start} above {points(low, metric)}; the margin is {points(margin, metric)}."
    if outcome == "PASS":
        return f"{start} below {points(high, metric)}; the margin is {points(margin, metric)}."
    if lacking:
        return f"Documents of {', '.join(lacking)} lack a verdict."
    bounds = f"{points(low, metric)} and {points(high, metric)}"
    return f"{start} between {bounds}; the margin is {points(margin, metric)}."


def overall_reason(
    outcome: Outcome,
    tasks: Sequence[TaskVerdict],
    pooled: PooledVerdict | None,
    suites: Sequence[SuiteVerdict] = (),
) -> str:
    """The verdict in one sentence."""
    judged: list[TaskVerdict | SuiteVerdict] = [*tasks, *suites]
    named = [one.name for one in judged if one.decides and one.outcome == outcome]
    if pooled is not None and pooled.outcome == outcome and outcome != "PASS":
        named.append("the mean over all tasks")
    if outcome == "FAIL":
        return f"The candidate fails on {', '.join(named)}."
    if outcome == "INCONCLUSIVE":
        return f"The result is inconclusive on {', '.join(named)}."
    critical = [one.name for one in judged if one.tier == "critical"]
    shown = [*critical, *(["the mean over all tasks"] if pooled is not None else [])]
    return f"Shown to be within the margin: {', '.join(shown)}."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
