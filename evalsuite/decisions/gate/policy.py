"""The policy of a gate: which damage is tolerated on which task.

Public names: `Policy`, `Rule`, `PolicyTier`, `read_policy`, `rules_of`.

Margins and discordances are in the metric's own unit: for accuracies 0.01 is one point of 100.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from evalsuite.errors import UnknownName, UserError
from evalsuite.files.strict import Strict, read_strict
from evalsuite.results.runlog import TaskRecord

PolicyTier = Literal["critical", "supporting", "advisory"]
"""Must be shown to be within its margin; must not be shown to be beyond it; reported only."""


class TaskPolicy(Strict):
    """What one task asks; what is left out is the default's."""

    tier: PolicyTier | None = None
    margin: float | None = Field(default=None, gt=0)
    metric: str | None = None
    """The task's headline metric by default."""
    discordance: float | None = Field(default=None, gt=0)


class DefaultPolicy(Strict):
    """What tasks ask that the policy does not list, and fields that a listed one leaves out."""

    tier: PolicyTier = "supporting"
    margin: float = Field(default=0.02, gt=0)
    discordance: float = Field(default=0.1, gt=0)
    """Assumed share of documents with another verdict although nothing became better or worse (of other
    metrics, the mean squared difference of a document); never more than two runs of the baseline's score that
    know nothing of each other would have."""


class PooledPolicy(Strict):
    """The plain mean over all critical and supporting tasks must be shown to be within this margin."""

    margin: float = Field(default=0.02, gt=0)


class Policy(Strict):
    """The whole policy."""

    version: Literal[1] = 1
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """One-sided error of every statement, that a task is within its margin or that it is beyond it."""
    power: float = Field(default=0.8, gt=0.5, lt=1)
    """Chance with which a candidate without any change must pass; a policy with less is refused."""
    default: DefaultPolicy = DefaultPolicy()
    tasks: dict[str, TaskPolicy] = Field(default_factory=dict)
    """By the task's name in the run."""
    pooled: PooledPolicy | None = PooledPolicy()
    max_unscored: float = Field(default=0.0, ge=0, lt=1)
    """Share of common documents that may lack a verdict."""
    min_common: float = Field(default=0.95, gt=0, le=1)
    """Share of the baseline's documents that the candidate must have."""


@dataclass(frozen=True)
class Rule:
    """What the gate asks of one task, with everything filled in."""

    tier: PolicyTier
    margin: float
    metric: str
    discordance: float


def rules_of(policy: Policy, tasks: Mapping[str, TaskRecord]) -> dict[str, Rule]:
    """The rule of every task of the baseline; raises UserError where policy and baseline do not fit."""
    for name in policy.tasks:
        if name not in tasks:
            raise UnknownName(
                "task", name, tasks, f"The policy lists it; the baseline has {', '.join(tasks)}."
            )
    rules = {}
    for name, record in tasks.items():
        own, default = policy.tasks.get(name, TaskPolicy()), policy.default
        rules[name] = Rule(
            tier=own.tier or default.tier,
            margin=own.margin or default.margin,
            metric=own.metric or record.headline,
            discordance=own.discordance or default.discordance,
        )
    if policy.pooled is None and all(rule.tier != "critical" for rule in rules.values()):
        raise UserError("The policy decides nothing: it has no critical task and no pooled margin.")
    if policy.pooled is not None and all(rule.tier == "advisory" for rule in rules.values()):
        raise UserError("The policy has a pooled margin and no critical or supporting task to pool.")
    return rules


def read_policy(path: Path) -> Policy:
    """The validated policy of a YAML file; raises UserError naming line and field."""
    return read_strict(Policy, path)
