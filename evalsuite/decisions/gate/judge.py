"""One task of a gate: from two samples tables to what can be said of it.

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
    """A task on its way to a verdict."""

    rule: Rule
    prospect: Prospect
    common: int = 0
    """Documents in both runs."""
    problem: str = ""
    """Why the documents are not complete enough to pass."""
    missing: bool = False
    """The candidate has no such task."""
    unscored: int = 0
    result: NonInferiority | None = None
    p_beyond: float | None = None
    """One-sided p of damage within the margin, adjusted over the tasks that can fail the gate."""

    def outcome(self, alpha: float) -> Outcome:
        """PASS asks for complete documents; damage that is shown fails whatever is missing."""
        if self.missing:
            return "FAIL" if self.rule.tier == "critical" else "INCONCLUSIVE"
        if self.p_beyond is not None and self.p_beyond < alpha:
            return "FAIL"
        within = self.result is not None and self.result.within(self.rule.margin)
        return "PASS" if within and not self.problem else "INCONCLUSIVE"

    def decides(self, outcome: Outcome) -> bool:
        """A supporting task holds the gate back where it fails, or where it was not measured as it should
        be."""
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
    """Damage and bounds on the common documents, and what keeps these from being enough."""
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
    """Common documents that one run could judge or should have; too long for both says nothing of either."""
    return [
        place
        for place, (row, there) in enumerate(pairs.common)
        if (before.statuses[row], after.statuses[there])
        not in (("scored", "scored"), ("too_long", "too_long"))
    ]


def _problem(
    policy: Policy, before: TaskSamples, after: TaskSamples, pairs: Pairs, unscored: list[int]
) -> str:
    if not pairs.common:
        return "none of the baseline's documents is in the candidate"
    if len(pairs.common) < policy.min_common * len(before):
        return (
            f"the candidate has {len(pairs.common):,} of the baseline's {len(before):,} documents "
            f"(at least {policy.min_common:.0%} are asked for)"
        )
    if len(unscored) > policy.max_unscored * len(pairs.common):
        row, there = pairs.common[unscored[0]]
        side, reason = "candidate", after.reasons[there]
        if before.reasons[row]:
            side, reason = "baseline", before.reasons[row]
        return (
            f"{len(unscored):,} documents were left without a verdict in one of the runs "
            f"(document {before.docs[row]} of the {side}: {reason})"
        )
    return ""
