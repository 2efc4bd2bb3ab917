"""May this candidate replace the baseline? Non-inferiority by task and over all tasks.

Public names: `gate`, `gate_sides`.
"""

from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from evalsuite.decisions.compare.compare import common_tasks, labels_of, run_info
from evalsuite.decisions.compare.differences import (
    refuse_other_prompts,
    run_differences,
    sample_differences,
    task_differences,
)
from evalsuite.decisions.compare.document import Difference
from evalsuite.decisions.compare.pairs import align
from evalsuite.decisions.gate.document import GateReport, Outcome, PooledVerdict, TaskVerdict
from evalsuite.decisions.gate.judge import TaskDecision, judge_task, without_verdict
from evalsuite.decisions.gate.policy import Policy, read_policy, rules_of
from evalsuite.decisions.gate.power import pooled_names, prospects, refuse_hopeless
from evalsuite.decisions.gate.reasons import overall_reason, pooled_reason, task_reason
from evalsuite.errors import UserError
from evalsuite.results.read import RunSide, open_run
from evalsuite.stats.multiple import holm
from evalsuite.stats.noninferiority import mover_bounds


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
        UserError: a run or the policy cannot be read or do not fit together, prompt specs differ, or the
            policy could not be passed by a candidate without any change.
    """
    rules = policy if isinstance(policy, Policy) else read_policy(Path(policy)) if policy else Policy()
    return gate_sides(rules, open_run(Path(baseline)), open_run(Path(candidate)), allow_protocol_drift)


def gate_sides(policy: Policy, baseline: RunSide, candidate: RunSide, drift: bool = False) -> GateReport:
    """The judgement of opened runs; raises as `gate` does."""
    return _Gate(policy, baseline, candidate, drift).report()


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
        """The verdict; raises UserError where the runs have no common documents."""
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

    def _judge(self, name: str) -> TaskDecision:
        rule, prospect = self._rules[name], self._prospects[name]
        if name not in self._common:
            return TaskDecision(rule, prospect, missing=True, problem="the candidate has no result for it")
        one, other = self._common[name]
        before, after = self._baseline.samples(one), self._candidate.samples(other)
        pairs = align(before, after)
        self._differences += [
            *task_differences(one, other),
            *sample_differences(name, before, after, pairs, without_verdict(before, after, pairs)),
        ]
        return judge_task(
            self._policy, rule, prospect, before, after, pairs, macro=one.aggregation == "macro"
        )

    def _adjusted(self, judged: Mapping[str, TaskDecision]) -> dict[str, TaskDecision]:
        """p adjusted over the tasks that can fail the gate (Holm); an advisory task keeps its own."""
        counted = {
            name: one.p_beyond
            for name, one in judged.items()
            if one.p_beyond is not None and one.rule.tier != "advisory"
        }
        adjusted = dict(zip(counted, holm(list(counted.values())), strict=True))
        return {name: replace(one, p_beyond=adjusted.get(name, one.p_beyond)) for name, one in judged.items()}

    def _verdict(self, name: str, one: TaskDecision) -> TaskVerdict:
        outcome, result = one.outcome(self._policy.alpha), one.result
        return TaskVerdict(
            name=name,
            tier=one.rule.tier,
            metric=one.rule.metric,
            outcome=outcome,
            decides=one.decides(outcome),
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

    def _pool(self, judged: Mapping[str, TaskDecision]) -> PooledVerdict | None:
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


def _whole(tasks: tuple[TaskVerdict, ...], pooled: PooledVerdict | None) -> Outcome:
    deciding = [task.outcome for task in tasks if task.decides]
    if pooled is not None:
        deciding.append(pooled.outcome)
    if "FAIL" in deciding:
        return "FAIL"
    return "INCONCLUSIVE" if "INCONCLUSIVE" in deciding else "PASS"
