"""Decides whether a candidate may replace a baseline, by non-inferiority per task and over all tasks.

Public names: `gate`, `gate_sides`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
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
from evalsuite.decisions.gate.document import GateReport, Outcome, PooledVerdict, SuiteVerdict, TaskVerdict
from evalsuite.decisions.gate.judge import TaskDecision, judge_task, without_verdict
from evalsuite.decisions.gate.noise import gate_noise, margins_within_noise, refuse_noise
from evalsuite.decisions.gate.policy import Policy, read_policy, rules_of
from evalsuite.decisions.gate.power import MeanProspect, pooled_names, prospects, refuse_hopeless
from evalsuite.decisions.gate.reasons import overall_reason, pooled_reason, task_reason
from evalsuite.decisions.gate.suites import judge_suite, suite_chance, suite_rules, suites_noise
from evalsuite.decisions.seeds.measured import Seeds, open_seeds
from evalsuite.errors import UserError
from evalsuite.results.read import RunSide, open_run
from evalsuite.results.smoke import smoke_warning
from evalsuite.stats.metrics import is_macro
from evalsuite.stats.multiple import holm
from evalsuite.stats.noninferiority import mover_bounds


def gate(
    baseline: str | Path,
    candidate: str | Path,
    policy: Policy | str | Path | None = None,
    *,
    seeds: Sequence[str | Path] = (),
    allow_noise: bool = False,
    allow_protocol_drift: bool = False,
    smoke: bool = True,
) -> GateReport:
    """Judge a candidate against a baseline.

    Args:
        baseline: run folder or `run.json`.
        candidate: run folder or `run.json`.
        policy: a policy or its YAML file; by default every task is supporting with a margin of 0.02, and
            the mean over all of them must be within 0.02.
        seeds: runs of two or more trainings that differ in their seed alone, at one step; by default the
            noise between seeds is that of the published table, for the tasks that it has.
        allow_noise: judge even if a margin lies within the noise of two seeds.
        allow_protocol_drift: judge even if a task's prompt specs differ.
        smoke: whether a candidate that failed its smoke test fails.

    Raises:
        UserError: a run or the policy cannot be read or do not fit together, prompt specs differ, an
            unchanged candidate would be unlikely to pass the policy, or a margin lies within the noise of
            two seeds.
    """
    rules = policy if isinstance(policy, Policy) else read_policy(Path(policy)) if policy else Policy()
    return gate_sides(
        rules,
        open_run(Path(baseline)),
        open_run(Path(candidate)),
        seeds=open_seeds(seeds),
        allow_noise=allow_noise,
        drift=allow_protocol_drift,
        smoke=smoke,
    )


def gate_sides(
    policy: Policy,
    baseline: RunSide,
    candidate: RunSide,
    *,
    seeds: Seeds | None = None,
    allow_noise: bool = False,
    drift: bool = False,
    smoke: bool = True,
) -> GateReport:
    """Judge opened runs; raises the errors of `gate`."""
    report = _Gate(policy, baseline, candidate, seeds, allow_noise, drift).report()
    tested = candidate.log.smoke
    if not smoke or tested is None or tested.passed is not False:
        return report
    sentence = smoke_warning(tested)
    return report.model_copy(update={"outcome": "FAIL", "reason": sentence, "smoke": sentence})


class _Gate:
    """The judgement of one candidate."""

    def __init__(
        self,
        policy: Policy,
        baseline: RunSide,
        candidate: RunSide,
        seeds: Seeds | None,
        allow_noise: bool,
        drift: bool,
    ) -> None:
        """Raise all errors that do not depend on the candidate's verdicts, before reading these."""
        self._policy, self._baseline, self._candidate = policy, baseline, candidate
        self._rules = rules_of(policy, baseline.tasks)
        self._prospects = prospects(policy, self._rules, baseline)
        self._suites = suite_rules(policy, self._rules, baseline.log, candidate.log)
        self._suite_chances = {
            rule.name: partial(suite_chance, rule, self._prospects, policy.alpha) for rule in self._suites
        }
        critical = [
            MeanProspect(rule.name, rule.policy.margin, self._suite_chances[rule.name])
            for rule in self._suites
            if rule.policy.tier == "critical"
        ]
        self._chance, self._pooled_chance = refuse_hopeless(policy, self._rules, self._prospects, critical)
        pooled = pooled_names(self._rules) if policy.pooled is not None else ()
        noise = gate_noise(self._rules, pooled, baseline, seeds)
        self._noise = replace(noise, suites=suites_noise(self._suites, noise.tasks, seeds))
        metrics = {rule.name: rule.mean.metric for rule in self._suites}
        self._within_noise = margins_within_noise(policy, self._rules, self._noise, metrics)
        if not allow_noise:
            refuse_noise(self._within_noise)
        self._common = {one.name: (one, other) for one, other in common_tasks(baseline, candidate)}
        if not drift:
            refuse_other_prompts(self._common.values())
        self._differences: list[Difference] = run_differences(baseline, candidate)

    def report(self) -> GateReport:
        """The verdict; raises UserError if the runs have no common documents."""
        judged = self._adjusted({name: self._judge(name) for name in self._rules})
        if not any(decision.common for decision in judged.values()):
            raise UserError(
                f"{self._baseline.path} and {self._candidate.path} have no common documents: their tasks "
                "have the same names but different rows."
            )
        tasks = tuple(self._verdict(name, decision) for name, decision in judged.items())
        pooled = self._pool(judged)
        suites = tuple(
            judge_suite(
                rule,
                judged,
                self._suite_chances[rule.name](rule.policy.margin),
                self._noise.suites.get(rule.name),
            )
            for rule in self._suites
        )
        outcome = _whole(tasks, pooled, suites)
        labels = labels_of([self._baseline, self._candidate])
        return GateReport(
            evalsuite_version=metadata.version("evalsuite"),
            outcome=outcome,
            reason=overall_reason(outcome, tasks, pooled, suites),
            baseline=run_info(self._baseline, labels[0]),
            candidate=run_info(self._candidate, labels[1]),
            policy=self._policy,
            pass_chance=self._chance,
            tasks=tasks,
            pooled=pooled,
            suites=suites,
            differences=tuple(self._differences),
            within_noise=tuple(self._within_noise.values()),
        )

    def _judge(self, name: str) -> TaskDecision:
        rule, prospect = self._rules[name], self._prospects[name]
        if name not in self._common:
            return TaskDecision(
                rule, prospect, missing=True, problem="the candidate has no result for this task"
            )
        one, other = self._common[name]
        before, after = self._baseline.samples(one), self._candidate.samples(other)
        pairs = align(before, after)
        self._differences += [
            *task_differences(one, other),
            *sample_differences(name, before, after, pairs, without_verdict(before, after, pairs)),
        ]
        macro = is_macro(rule.metric, one.aggregation)
        return judge_task(self._policy, rule, prospect, before, after, pairs, macro=macro)

    def _adjusted(self, judged: Mapping[str, TaskDecision]) -> dict[str, TaskDecision]:
        """Adjust p over the tasks that can fail the gate (Holm); advisory tasks keep theirs."""
        counted = {
            name: decision.p_beyond
            for name, decision in judged.items()
            if decision.p_beyond is not None and decision.rule.tier != "advisory"
        }
        adjusted = dict(zip(counted, holm(list(counted.values())), strict=True))
        return {
            name: replace(decision, p_beyond=adjusted.get(name, decision.p_beyond))
            for name, decision in judged.items()
        }

    def _verdict(self, name: str, decision: TaskDecision) -> TaskVerdict:
        rule, prospect, result = decision.rule, decision.prospect, decision.result
        outcome = decision.outcome(self._policy.alpha)
        return TaskVerdict(
            name=name,
            tier=rule.tier,
            metric=rule.metric,
            outcome=outcome,
            decides=decision.decides(outcome),
            reason=task_reason(rule, prospect, result, outcome, decision.problem, self._policy),
            margin=rule.margin,
            baseline=result.baseline if result else None,
            candidate=result.candidate if result else None,
            damage=result.damage if result else None,
            low=result.low if result else None,
            high=result.high if result else None,
            p_beyond=decision.p_beyond,
            discordance=result.discordance if result else None,
            assumed_discordance=prospect.discordance,
            pass_chance=prospect.pass_chance,
            documents=result.n if result else 0,
            unscored=decision.unscored,
            seed_noise=self._noise.tasks.get(name),
        )

    def _pool(self, judged: Mapping[str, TaskDecision]) -> PooledVerdict | None:
        if self._policy.pooled is None:
            return None
        names, margin = pooled_names(self._rules), self._policy.pooled.margin
        parts = [
            (result.damage, result.low, result.high)
            for result in (judged[name].result for name in names)
            if result is not None and result.low is not None and result.high is not None
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
            seed_noise=self._noise.pooled,
        )


def _whole(
    tasks: tuple[TaskVerdict, ...], pooled: PooledVerdict | None, suites: tuple[SuiteVerdict, ...]
) -> Outcome:
    judged: list[TaskVerdict | SuiteVerdict] = [*tasks, *suites]
    deciding = [verdict.outcome for verdict in judged if verdict.decides]
    if pooled is not None:
        deciding.append(pooled.outcome)
    if "FAIL" in deciding:
        return "FAIL"
    return "INCONCLUSIVE" if "INCONCLUSIVE" in deciding else "PASS"
