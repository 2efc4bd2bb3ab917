"""May this candidate replace the baseline? Non-inferiority by task and over all tasks.

Public names: `gate`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from evalsuite.errors import UserError
from evalsuite.results.compare import common_tasks, labels_of, run_info
from evalsuite.results.compare_checks import (
    refuse_other_prompts,
    run_differences,
    sample_differences,
    task_differences,
)
from evalsuite.results.compare_document import Difference
from evalsuite.results.gate_document import GateReport, Outcome, PooledVerdict, TaskVerdict
from evalsuite.results.gate_power import Prospect, pooled_names, prospects, refuse_hopeless
from evalsuite.results.gate_words import overall_reason, pooled_reason, task_reason
from evalsuite.results.pairs import Pairs, align, common_values, lower_is_better
from evalsuite.results.policy import Policy, Rule, read_policy, rules_of
from evalsuite.results.read import RunSide, TaskSamples, open_run
from evalsuite.results.runlog import TaskRecord
from evalsuite.stats.multiple import holm
from evalsuite.stats.noninferiority import NonInferiority, mover_bounds, noninferiority


def gate(
    baseline: str | Path,
    candidate: str | Path,
    policy: Policy | str | Path | None = None,
    *,
    allow_protocol_drift: bool = False,
) -> GateReport:
    """Judge a candidate against a baseline.

    Args:
        baseline: run folder or `run.json`.
        candidate: another.
        policy: a policy or its YAML file; by default every task is supporting with a margin of 0.02, and
            the mean over all of them must be within 0.02.
        allow_protocol_drift: judge although a task's prompt spec is not the same.

    Raises:
        UserError: a run or the policy cannot be read or do not fit together, prompt specs differ, or the policy
            could not be passed by a candidate without any change.
    """
    rules = policy if isinstance(policy, Policy) else read_policy(Path(policy)) if policy else Policy()
    return _Gate(rules, open_run(Path(baseline)), open_run(Path(candidate)), allow_protocol_drift).report()


@dataclass(frozen=True)
class _Judged:
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
    """Adjusted."""

    @property
    def outcome(self) -> Outcome:
        critical = self.rule.tier == "critical"
        if self.missing:
            return "FAIL" if critical else "INCONCLUSIVE"
        if self.result is None:
            return "INCONCLUSIVE"
        return "PASS" if self.result.within(self.rule.margin) and not self.problem else "INCONCLUSIVE"


class _Gate:
    """One judgement."""

    def __init__(self, policy: Policy, baseline: RunSide, candidate: RunSide, drift: bool) -> None:
        """Everything that can be refused is refused before the candidate's verdicts are looked at."""
        self._policy, self._baseline, self._candidate = policy, baseline, candidate
        self._rules = rules_of(policy, baseline.tasks)
        self._prospects = prospects(policy, self._rules, baseline)
        self._chance, self._pooled_chance = refuse_hopeless(policy, self._rules, self._prospects)
        self._common = {one.name: (one, other) for one, other in common_tasks(baseline, candidate)}
        if not drift:
            refuse_other_prompts(self._common.values())
        self._differences: list[Difference] = run_differences(baseline, candidate)

    def report(self) -> GateReport:
        judged = self._adjusted({name: self._judge(name) for name in self._rules})
        if not any(one.common for one in judged.values()):
            raise UserError(
                f"{self._baseline.path} and {self._candidate.path} have no common documents: their tasks have the "
                "same names and other rows."
            )
        tasks = tuple(self._verdict(name, one) for name, one in judged.items())
        pooled = self._pool(judged)
        outcome = _whole(tasks, pooled)
        labels = labels_of([self._baseline, self._candidate])
        return GateReport(
            evalsuite_version=metadata.version("evalsuite"),
            outcome=outcome,
            reason=overall_reason(outcome, tasks, pooled),
            baseline=run_info(self._baseline, labels[0]),
            candidate=run_info(self._candidate, labels[1]),
            policy=self._policy,
            pass_chance=self._chance,
            tasks=tasks,
            pooled=pooled,
            differences=tuple(self._differences),
        )

    def _judge(self, name: str) -> _Judged:
        judged = _Judged(self._rules[name], self._prospects[name])
        if name not in self._common:
            return replace(judged, missing=True, problem="the candidate has no result for it")
        one, other = self._common[name]
        before, after = self._baseline.samples(one), self._candidate.samples(other)
        pairs = align(before, after)
        unscored = _without_verdict(before, after, pairs)
        self._differences += [
            *task_differences(one, other),
            *sample_differences(name, before, after, pairs, unscored),
        ]
        result = self._result(one, before, after, pairs)
        problem = self._problem(before, after, pairs, unscored)
        return replace(
            judged, common=len(pairs.common), result=result, problem=problem, unscored=len(unscored)
        )

    def _result(
        self, one: TaskRecord, before: TaskSamples, after: TaskSamples, pairs: Pairs
    ) -> NonInferiority | None:
        rule = self._rules[one.name]
        values = common_values(before, after, pairs, rule.metric)
        if not values.rows:
            return None
        return noninferiority(
            values.baseline,
            values.candidate,
            rule.margin,
            alpha=self._policy.alpha,
            lower_is_better=lower_is_better(rule.metric),
            strata=values.subtasks if one.aggregation == "macro" else None,
            clusters=values.clusters,
        )

    def _problem(self, before: TaskSamples, after: TaskSamples, pairs: Pairs, unscored: list[int]) -> str:
        if not pairs.common:
            return "none of the baseline's documents is in the candidate"
        if len(pairs.common) < self._policy.min_common * len(before):
            return (
                f"the candidate has {len(pairs.common):,} of the baseline's {len(before):,} documents "
                f"(at least {self._policy.min_common:.0%} are asked for)"
            )
        if len(unscored) > self._policy.max_unscored * len(pairs.common):
            row, there = pairs.common[unscored[0]]
            side, reason = (
                ("baseline", before.reasons[row])
                if before.reasons[row]
                else ("candidate", after.reasons[there])
            )
            return (
                f"{len(unscored):,} documents were left without a verdict in one of the runs "
                f"(document {before.docs[row]} of the {side}: {reason})"
            )
        return ""

    def _adjusted(self, judged: Mapping[str, _Judged]) -> dict[str, _Judged]:
        """p of damage within the margin, adjusted over the tasks that can fail the gate."""
        counted = [
            name for name, one in judged.items() if one.result is not None and one.rule.tier != "advisory"
        ]
        adjusted = dict(zip(counted, holm([_p(judged[name]) for name in counted]), strict=True))
        return {
            name: replace(one, p_beyond=adjusted.get(name, _p(one) if one.result else None))
            for name, one in judged.items()
        }

    def _verdict(self, name: str, one: _Judged) -> TaskVerdict:
        beyond = one.p_beyond is not None and one.p_beyond < self._policy.alpha
        outcome: Outcome = "FAIL" if beyond else one.outcome
        result = one.result
        return TaskVerdict(
            name=name,
            tier=one.rule.tier,
            metric=one.rule.metric,
            outcome=outcome,
            decides=_decides(one, outcome),
            reason=task_reason(one.rule, one.prospect, result, outcome, one.problem, self._policy),
            margin=one.rule.margin,
            baseline=result.baseline if result else None,
            candidate=result.candidate if result else None,
            damage=result.damage if result else None,
            low=result.low if result else None,
            high=result.high if result else None,
            p_beyond=one.p_beyond,
            discordance=result.discordance if result else None,
            assumed_discordance=one.prospect.discordance,
            pass_chance=one.prospect.pass_chance,
            documents=result.n if result else 0,
            unscored=one.unscored,
        )

    def _pool(self, judged: Mapping[str, _Judged]) -> PooledVerdict | None:
        if self._policy.pooled is None:
            return None
        names, margin = pooled_names(self._rules), self._policy.pooled.margin
        parts = [
            (one.result.damage, one.result.low, one.result.high)
            for one in (judged[name] for name in names)
            if one.result is not None and one.result.low is not None and one.result.high is not None
        ]
        lacking = [name for name in names if judged[name].problem or judged[name].result is None]
        outcome: Outcome = "INCONCLUSIVE"
        damage = low = high = None
        if len(parts) == len(names):
            damage, low, high = mover_bounds(parts)
            if low > margin:
                outcome = "FAIL"
            elif high <= margin and not lacking:
                outcome = "PASS"
        return PooledVerdict(
            outcome=outcome,
            reason=pooled_reason(outcome, margin, damage, low, high, lacking),
            tasks=names,
            margin=margin,
            damage=damage,
            low=low,
            high=high,
            pass_chance=self._pooled_chance or 0.0,
        )


def _p(one: _Judged) -> float:
    return one.result.p_beyond if one.result else 1.0


def _decides(one: _Judged, outcome: Outcome) -> bool:
    """A supporting task holds the gate back where it fails, or where it was not measured as it should be."""
    if outcome == "PASS" or one.rule.tier == "advisory":
        return False
    return one.rule.tier == "critical" or outcome == "FAIL" or bool(one.problem)


def _whole(tasks: tuple[TaskVerdict, ...], pooled: PooledVerdict | None) -> Outcome:
    deciding = [task.outcome for task in tasks if task.decides]
    if pooled is not None:
        deciding.append(pooled.outcome)
    if "FAIL" in deciding:
        return "FAIL"
    return "INCONCLUSIVE" if "INCONCLUSIVE" in deciding else "PASS"


def _without_verdict(before: TaskSamples, after: TaskSamples, pairs: Pairs) -> list[int]:
    """Common documents that one run could judge or should have; too long for both says nothing of either."""
    return [
        place
        for place, (row, there) in enumerate(pairs.common)
        if (before.statuses[row], after.statuses[there])
        not in (("scored", "scored"), ("too_long", "too_long"))
    ]
