"""The reasons of a gate's verdicts, in sentences.

Public names: `task_reason`, `pooled_reason`, `overall_reason`, `points`.
"""

import math
from collections.abc import Sequence

from evalsuite.decisions.gate.document import Outcome, PooledVerdict, TaskVerdict
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
    """A score or damage as it is printed: points of 100, or the unit of a metric that counts loss."""
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
    """Why a task has its outcome."""
    if result is None or result.high is None:
        return _sentence(problem or "a single document or source tells nothing of spread")
    sure = f"{1 - policy.alpha:.0%}"
    damage, margin = points(result.damage, rule.metric, signed=True), points(rule.margin, rule.metric)
    if outcome == "FAIL":
        return (
            f"The damage of {damage} is above {points(result.low, rule.metric)} with {sure} confidence; "
            f"the margin is {margin}."
        )
    bound = f"the damage of {damage} is below {points(result.high, rule.metric)} with {sure} confidence"
    if outcome == "PASS":
        return _sentence(f"{bound}; the margin is {margin}")
    if problem:
        return _sentence(f"{problem}; {bound}")
    needed = _what_would_suffice(rule, prospect, result, policy)
    return _sentence(f"{bound}, which is more than the margin of {margin}{needed}")


def _what_would_suffice(rule: Rule, prospect: Prospect, result: NonInferiority, policy: Policy) -> str:
    """Whether the documents could have told at all, from the observed discordance."""
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
        f"; {result.discordance:.1%} of documents changed ({prospect.discordance:.1%} assumed), and without any loss "
        f"{chance:.0%} would pass: margin {round_up(margin)} or {documents:,} documents would suffice"
    )


def pooled_reason(
    outcome: Outcome,
    margin: float,
    damage: float | None,
    low: float | None,
    high: float | None,
    lacking: Sequence[str],
) -> str:
    """Why the pooled mean has its outcome."""
    if damage is None:
        return f"The mean lacks {', '.join(lacking) or 'an interval of a task'}."
    start = f"The mean damage of {points(damage, signed=True)} is"
    if outcome == "FAIL":
        return f"{start} above {points(low)}; the margin is {points(margin)}."
    if outcome == "PASS":
        return f"{start} below {points(high)}; the margin is {points(margin)}."
    if lacking:
        return f"Not all documents of {', '.join(lacking)} were judged."
    return f"{start} between {points(low)} and {points(high)}; the margin is {points(margin)}."


def overall_reason(outcome: Outcome, tasks: Sequence[TaskVerdict], pooled: PooledVerdict | None) -> str:
    """The verdict in one sentence."""
    named = [task.name for task in tasks if task.decides and task.outcome == outcome]
    if pooled is not None and pooled.outcome == outcome and outcome != "PASS":
        named.append("the mean over all tasks")
    if outcome == "FAIL":
        return f"The candidate fails on {', '.join(named)}."
    if outcome == "INCONCLUSIVE":
        return f"Nothing is decided on {', '.join(named)}."
    critical = [task.name for task in tasks if task.tier == "critical"]
    shown = [*critical, *(["the mean over all tasks"] if pooled is not None else [])]
    return f"Shown to be within the margin: {', '.join(shown)}."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
