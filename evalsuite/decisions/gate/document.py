"""The verdict of a gate as one typed, versioned document.

Public names: `GateReport`, `TaskVerdict`, `PooledVerdict`, `SuiteVerdict`, `Outcome`.
"""

from typing import Literal

from evalsuite.decisions.compare.document import Difference, RunInfo
from evalsuite.decisions.gate.policy import Policy, PolicyTier
from evalsuite.decisions.seeds.document import SeedNoise
from evalsuite.files.strict import Strict

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]
"""PASS: shown to be within the margin. FAIL: shown to be beyond it, or missing. INCONCLUSIVE: neither."""

EXIT_CODES: dict[Outcome, int] = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}


class TaskVerdict(Strict):
    """The verdict on one task. Damage is how much worse the candidate is, in the metric's own unit (of a
    perplexity, nats)."""

    name: str
    tier: PolicyTier
    metric: str
    outcome: Outcome
    decides: bool
    """Whether this outcome keeps the gate from passing."""
    reason: str
    """One sentence."""
    margin: float
    baseline: float | None = None
    candidate: float | None = None
    damage: float | None = None
    low: float | None = None
    """Lower bound of the damage, at one-sided level 1 - alpha."""
    high: float | None = None
    """Upper bound of the damage, at one-sided level 1 - alpha."""
    p_beyond: float | None = None
    """One-sided p of damage within the margin, adjusted over critical and supporting tasks (Holm)."""
    discordance: float | None = None
    """Observed discordance."""
    assumed_discordance: float
    pass_chance: float
    """Probability that an unchanged candidate passes this task, at the assumed discordance."""
    documents: int = 0
    """Number of common documents with a verdict in both runs."""
    unscored: int = 0
    """Number of common documents without a verdict in one of the runs."""
    seed_noise: SeedNoise | None = None
    """The spread of this score between trainings that differ in their seed, where it is known."""


class PooledVerdict(Strict):
    """The verdict on the unweighted mean over critical and supporting tasks."""

    outcome: Outcome
    reason: str
    tasks: tuple[str, ...]
    margin: float
    damage: float | None = None
    low: float | None = None
    high: float | None = None
    pass_chance: float
    seed_noise: SeedNoise | None = None
    """As for a task; at least this if the source names fewer tasks than the mean has."""


class SuiteVerdict(PooledVerdict):
    """The verdict on a mean of a suite."""

    name: str
    metric: str
    tier: Literal["critical", "advisory"]
    decides: bool
    """Whether this outcome keeps the gate from passing."""


class GateReport(Strict):
    """The verdict on a candidate."""

    schema_version: Literal[1] = 1
    evalsuite_version: str
    outcome: Outcome
    reason: str
    baseline: RunInfo
    candidate: RunInfo
    policy: Policy
    pass_chance: float
    """Lower bound of the probability that an unchanged candidate passes, at the assumed discordances."""
    tasks: tuple[TaskVerdict, ...]
    pooled: PooledVerdict | None
    suites: tuple[SuiteVerdict, ...] = ()
    """Verdicts on the suites that the policy names."""
    differences: tuple[Difference, ...]
    within_noise: tuple[str, ...] = ()
    """One sentence for each margin that lies within the noise of two seeds (`--allow-noise`)."""
    smoke: str = ""
    """How the candidate failed its smoke test, which fails the gate; empty if it did not."""

    @property
    def exit_code(self) -> int:
        """Exit code of the command: 0, 1 or 2."""
        return EXIT_CODES[self.outcome]
