"""The probability that an unchanged candidate passes, computed before reading the candidate's verdicts.

Public names: `Prospect`, `MeanProspect`, `prospects`, `pooled_chance`, `half_width`, `refuse_hopeless`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from evalsuite.decisions.gate.policy import Policy, Rule
from evalsuite.errors import UserError
from evalsuite.results.read import RunSide, TaskSamples
from evalsuite.results.runlog import TaskRecord
from evalsuite.stats.metrics import is_macro, lower_is_better
from evalsuite.stats.noninferiority import (
    documents_for_margin,
    margin_needed,
    mean_pass_chance,
    pass_chance,
)
from evalsuite.stats.paired import design_effect_of
from evalsuite.stats.stderr import mean_error
from evalsuite.stats.tango import tango_interval


@dataclass(frozen=True)
class Prospect:
    """A task's documents and power, from the baseline and the policy alone."""

    documents: int
    effective_n: float
    discordance: float
    """Assumed discordance of an unchanged candidate."""
    binary: bool
    pass_chance: float
    """Probability that an unchanged candidate passes this task."""


def prospects(policy: Policy, rules: Mapping[str, Rule], baseline: RunSide) -> dict[str, Prospect]:
    """The prospect of each task; raises UserError if the baseline has no values of a rule's metric."""
    return {
        name: _prospect(policy, rule, record := baseline.tasks[name], baseline.samples(record))
        for name, rule in rules.items()
    }


def _prospect(policy: Policy, rule: Rule, record: TaskRecord, samples: TaskSamples) -> Prospect:
    import numpy as np

    scored = [row for row, metrics in enumerate(samples.metrics) if rule.metric in metrics]
    if not scored:
        known = ", ".join(dict.fromkeys(name for metrics in samples.metrics for name in metrics)) or "none"
        raise UserError(
            f"The baseline has no values of metric '{rule.metric}' for task {record.name}; "
            f"its metrics are {known}."
        )
    values = np.array([samples.metrics[row][rule.metric] for row in scored])
    binary = bool(np.isin(values, (0, 1)).all())
    macro = is_macro(rule.metric, record.aggregation)
    strata = [samples.subtasks[row] for row in scored] if macro else None
    labels = [samples.clusters[row] for row in scored]
    clusters = labels if any(labels) else None
    own = [samples.weights[row][rule.metric] for row in scored if rule.metric in samples.weights[row]]
    weights = own if len(own) == len(scored) else None
    error = mean_error(values, strata=strata, clusters=clusters, weights=weights)
    simple = strata is None and clusters is None and weights is None
    design = 1.0 if simple else design_effect_of(values, error)
    effective = len(scored) / design
    # Two independent runs with this score have this discordance; related models have less.
    discordance = min(rule.discordance, 2 * float(values.var()))
    chance = partial(pass_chance if binary else mean_pass_chance, effective, discordance)
    return Prospect(len(scored), effective, discordance, binary, chance(rule.margin, policy.alpha))


def pooled_names(rules: Mapping[str, Rule]) -> tuple[str, ...]:
    """Tasks of the pooled verdict: all critical and supporting tasks whose metric is a score."""
    return tuple(
        name for name, rule in rules.items() if rule.tier != "advisory" and not lower_is_better(rule.metric)
    )


def pooled_chance(policy: Policy, tasks: Sequence[Prospect], margin: float) -> float:
    """Probability that an unchanged candidate passes the pooled verdict (normal approximation)."""
    from scipy.stats import norm

    deviation = math.sqrt(sum(task.discordance / task.effective_n for task in tasks)) / len(tasks)
    bound = math.sqrt(sum(half_width(task, policy.alpha) ** 2 for task in tasks)) / len(tasks)
    return float(norm.cdf((margin - bound) / deviation)) if deviation else float(bound <= margin)


def half_width(task: Prospect, alpha: float) -> float:
    """Distance of the upper bound of the damage from 0 for an unchanged candidate."""
    from scipy.stats import norm

    if not task.binary:
        return float(norm.isf(alpha)) * math.sqrt(task.discordance / task.effective_n)
    each = task.effective_n * task.discordance / 2
    return tango_interval(each, each, task.effective_n, 1 - 2 * alpha)[1]


@dataclass(frozen=True)
class MeanProspect:
    """A critical mean over tasks, from the baseline and the policy alone."""

    name: str
    margin: float
    chance: Callable[[float], float]
    """Probability that an unchanged candidate passes, by margin."""


def refuse_hopeless(
    policy: Policy,
    rules: Mapping[str, Rule],
    tasks: Mapping[str, Prospect],
    means: Sequence[MeanProspect] = (),
) -> tuple[float, float | None]:
    """Probability that an unchanged candidate passes the gate, and that it passes the pooled verdict.

    The verdicts count as independent, which gives a lower bound, since pooled and single verdicts are
    correlated. Raises UserError if the probability is below the policy's power; the message says what would
    suffice.
    """
    critical = {name: tasks[name] for name, rule in rules.items() if rule.tier == "critical"}
    pooled = None
    if policy.pooled is not None:
        members = [tasks[name] for name in pooled_names(rules)]
        if not members:
            raise UserError("The policy has a pooled margin, but no task whose metric is a score to pool.")
        pooled = pooled_chance(policy, members, policy.pooled.margin)
    chances = [task.pass_chance for task in critical.values()] + ([] if pooled is None else [pooled])
    chances += [mean.chance(mean.margin) for mean in means]
    whole = math.prod(chances)
    if whole >= policy.power:
        return whole, pooled
    each = policy.power ** (1 / len(chances))
    advice = [
        _advice(name, task, rules[name], policy, each)
        for name, task in critical.items()
        if task.pass_chance < each
    ]
    if pooled is not None and policy.pooled is not None and pooled < each:
        needed = _smallest(partial(pooled_chance, policy, members), each)
        worst = max(pooled_names(rules), key=lambda name: tasks[name].discordance / tasks[name].effective_n)
        advice.append(
            f"the pooled mean passes with probability {pooled:.0%} at margin {policy.pooled.margin:g}; "
            f"margin {round_up(needed)} would suffice"
            + (
                f", or make {worst}, which has the largest error, an advisory task"
                if len(members) > 1
                else ""
            )
        )
    advice += [
        f"{mean.name} passes with probability {mean.chance(mean.margin):.0%} at margin {mean.margin:g}; "
        f"margin {round_up(_smallest(mean.chance, each))} would suffice"
        for mean in means
        if mean.chance(mean.margin) < each
    ]
    raise UserError(
        f"An unchanged candidate would pass this policy with a probability of only {whole:.0%}, below its "
        f"power of {policy.power:.0%}: {'; '.join(advice)}. Supporting tasks need no power."
    )


def _advice(name: str, task: Prospect, rule: Rule, policy: Policy, power: float) -> str:
    now = (
        f"{name} passes with probability {task.pass_chance:.0%} at margin {rule.margin:g} and "
        f"{task.documents} documents, if {task.discordance:.1%} of them change"
    )
    if task.binary:
        margin = margin_needed(task.effective_n, task.discordance, power, policy.alpha)
        more = documents_for_margin(task.discordance, rule.margin, power, policy.alpha)
        documents = f" or {math.ceil(more * task.documents / task.effective_n):,} documents"
    else:
        margin, documents = (
            _smallest(partial(_mean_chance, task, policy.alpha), power, 100 * rule.margin),
            "",
        )
    return f"{now}; margin {round_up(margin)}{documents} would suffice"


def _mean_chance(task: Prospect, alpha: float, margin: float) -> float:
    return mean_pass_chance(task.effective_n, task.discordance, margin, alpha)


def _smallest(chance: Callable[[float], float], power: float, most: float = 1.0) -> float:
    """The smallest margin that reaches the power, to a ten-thousandth of `most`."""
    low, high = 0.0, most
    while high - low > most * 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) < power else (low, middle)
    return high


def round_up(margin: float) -> str:
    """The margin as text, rounded up to 3 decimals, or to 4 below 0.01."""
    digits = 3 if margin >= 0.01 else 4
    return f"{math.ceil(margin * 10**digits) / 10**digits:g}"
