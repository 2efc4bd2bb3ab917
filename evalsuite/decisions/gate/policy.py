"""The policy of a gate: how much damage it tolerates on each task.

Public names: `Policy`, `SuitePolicy`, `Rule`, `PolicyTier`, `read_policy`, `rules_of`.

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
"""critical: must be shown within its margin; supporting: not shown beyond it; advisory: reported only."""


class TaskPolicy(Strict):
    """The rules of one task; missing fields come from the default."""

    tier: PolicyTier | None = None
    margin: float | None = Field(default=None, gt=0)
    metric: str | None = None
    """Metric to judge; by default the task's headline metric."""
    discordance: float | None = Field(default=None, gt=0)


class DefaultPolicy(Strict):
    """The rules of tasks that the policy does not list, and of fields that a listed task omits."""

    tier: PolicyTier = "supporting"
    margin: float = Field(default=0.02, gt=0)
    discordance: float = Field(default=0.1, gt=0)
    """Share of documents whose verdict changes in an unchanged candidate, as assumed.

    For metrics that are not 0/1, the mean squared difference per document. It is capped at the discordance of
    two independent runs with the baseline's score.
    """


class PooledPolicy(Strict):
    """The unweighted mean over all critical and supporting tasks must be shown within this margin."""

    margin: float = Field(default=0.02, gt=0)


class SuitePolicy(Strict):
    """The rule of a suite's mean; critical: it must be shown within its margin."""

    tier: Literal["critical", "advisory"] = "critical"
    margin: float = Field(gt=0)


class Policy(Strict):
    """The policy of a gate."""

    version: Literal[1] = 1
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """One-sided error rate of each statement that a task is within or beyond its margin."""
    power: float = Field(default=0.8, gt=0.5, lt=1)
    """Minimum probability that an unchanged candidate passes; a policy below it is refused."""
    default: DefaultPolicy = DefaultPolicy()
    tasks: dict[str, TaskPolicy] = Field(default_factory=dict)
    """Rules by the task's name in the run."""
    pooled: PooledPolicy | None = PooledPolicy()
    suites: dict[str, SuitePolicy] = Field(default_factory=dict)
    """Rules by suite, or suite and mean (`core v1`) if it has several, as in the run's table."""
    max_unscored: float = Field(default=0.0, ge=0, lt=1)
    """Largest share of common documents without a verdict."""
    min_common: float = Field(default=0.95, gt=0, le=1)
    """Smallest share of the baseline's documents that the candidate must have."""


@dataclass(frozen=True)
class Rule:
    """The rule of one task with all defaults filled in."""

    tier: PolicyTier
    margin: float
    metric: str
    discordance: float


def rules_of(policy: Policy, tasks: Mapping[str, TaskRecord]) -> dict[str, Rule]:
    """The rule of every task of the baseline; raises UserError if policy and baseline do not match."""
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
    tiers = {*(rule.tier for rule in rules.values()), *(suite.tier for suite in policy.suites.values())}
    if policy.pooled is None and "critical" not in tiers:
        raise UserError("The policy decides nothing: it has no critical task or suite and no pooled margin.")
    if policy.pooled is not None and all(rule.tier == "advisory" for rule in rules.values()):
        raise UserError("The policy has a pooled margin, but no critical or supporting task to pool.")
    return rules


def read_policy(path: Path) -> Policy:
    """The validated policy of a YAML file; raises UserError that names line and field."""
    return read_strict(Policy, path)
