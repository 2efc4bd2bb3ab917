"""Judges one task of a gate from two samples tables.

Public names: `TaskDecision`, `judge_task`, `without_verdict`.
"""

from dataclasses import dataclass

from evalsuite.decisions.compare.pairs import Pairs, common_values
from evalsuite.decisions.gate.document import Outcome
from evalsuite.decisions.gate.policy import Policy, Rule
from evalsuite.decisions.gate.power import Prospect
from evalsuite.results.read import TaskSamples
from evalsuite.stats.metrics import lower_is_better
from evalsuite.stats.noninferiority import NonInferiority, noninferiority


@dataclass(frozen=True)
class TaskDecision:
    """The evidence on one task, from which its outcome follows."""

    rule: Rule
    prospect: Prospect
    common: int = 0
    """Number of documents in both runs."""
    problem: str = ""
    """Reason why too many documents are missing to pass; empty if they are complete."""
    missing: bool = False
    """Whether the candidate lacks the task."""
    unscored: int = 0
    result: NonInferiority | None = None
    p_beyond: float | None = None
    """One-sided p of damage within the margin, adjusted over the tasks that can fail the gate."""

    def outcome(self, alpha: float) -> Outcome:
        """The outcome: PASS needs complete documents; significant damage is a FAIL even with missing ones."""
        if self.missing:
            return "FAIL" if self.rule.tier == "critical" else "INCONCLUSIVE"
        if self.p_beyond is not None and self.p_beyond < alpha:
            return "FAIL"
        within = self.result is not None and self.result.within(self.rule.margin)
        return "PASS" if within and not self.problem else "INCONCLUSIVE"

    def decides(self, outcome: Outcome) -> bool:
        """Whether the outcome keeps the gate from passing; a supporting task must fail or be incomplete."""
        if outcome == "PASS" or self.rule.tier == "advisory":
            return False
        return self.rule.tier == "critical" or outcome == "FAIL" or bool(self.problem)


def judge_task(
    policy: Policy,
    rule: Rule,
    prospect: Prospect,
    before: TaskSamples,
    after: TaskSamples,
    pairs: Pairs,
    macro: bool,
) -> TaskDecision:
    """Damage and its bounds on the common documents, and whether these are complete."""
    unscored = without_verdict(before, after, pairs)
    values, result = common_values(before, after, pairs, rule.metric), None
    if values.rows:
        result = noninferiority(
            values.baseline,
            values.candidate,
            rule.margin,
            alpha=policy.alpha,
            lower_is_better=lower_is_better(rule.metric),
            strata=values.subtasks if macro else None,
            clusters=values.clusters,
            weights=values.weights,
        )
    return TaskDecision(
        rule=rule,
        prospect=prospect,
        common=len(pairs.common),
        problem=_problem(policy, before, after, pairs, unscored),
        unscored=len(unscored),
        result=result,
        p_beyond=result.p_beyond if result else None,
    )


def without_verdict(before: TaskSamples, after: TaskSamples, pairs: Pairs) -> list[int]:
    """Indices of common documents without a verdict in a run, except those that are too long for both."""
    complete = ("scored", "scored"), ("too_long", "too_long")
    return [
        pair
        for pair, (row, other_row) in enumerate(pairs.common)
        if (before.statuses[row], after.statuses[other_row]) not in complete
    ]


def _problem(
    policy: Policy, before: TaskSamples, after: TaskSamples, pairs: Pairs, unscored: list[int]
) -> str:
    if not pairs.common:
        return "the candidate has none of the baseline's documents"
    if len(pairs.common) < policy.min_common * len(before):
        return (
            f"the candidate has {len(pairs.common):,} of the baseline's {len(before):,} documents "
            f"(the policy requires {policy.min_common:.0%})"
        )
    if len(unscored) > policy.max_unscored * len(pairs.common):
        row, other_row = pairs.common[unscored[0]]
        side, reason = "candidate", after.reasons[other_row]
        if before.reasons[row]:
            side, reason = "baseline", before.reasons[row]
        return (
            f"{len(unscored):,} documents have no verdict in one of the runs "
            f"(document {before.docs[row]} of the {side}: {reason})"
        )
    return ""
