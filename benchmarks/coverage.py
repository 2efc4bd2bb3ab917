"""Measures how often the intervals contain the true value, and how often the gate decides correctly.

    python benchmarks/coverage.py [mean clustered others known paired paired-clustered repeats gate]
    [--simulations 2000]

Prints the Markdown tables in docs/statistics.md, with the functions that the commands use. Coverage of single
proportions and of paired differences is exact, a sum over all outcomes of relevant probability; the rest is
simulated, with a standard error of 0.5 points at 2,000 simulations (0.7 at 1,000).
"""

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from draws import (
    Chances,
    Passages,
    all_or_nothing_chances,
    beta_chances,
    cluster_chances,
    cluster_draw,
    equal,
    geometric,
    logit_normal_chances,
    passages,
    three_kinds,
)
from scipy.stats import binom, norm

from evalsuite.decisions.gate.gate import gate_sides
from evalsuite.decisions.gate.policy import Policy
from evalsuite.results.read import TaskSamples
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import Counts, ModelRecord, RunLog, TaskRecord
from evalsuite.stats.intervals import mean_estimate, verdicts_tail
from evalsuite.stats.repeats import pass_at_k_estimate
from evalsuite.stats.stderr import mean_error
from evalsuite.stats.tango import paired_tail, tango_p, tango_score

SIZES = (164, 500, 1319, 14042)
PROPORTIONS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98)
BAR = (0.93, 0.97)
Rows = Iterator[tuple[str, list[float]]]


def mean() -> Rows:
    """95 % interval of a single score of 0/1 verdicts: exact coverage; columns are the true score."""

    @cache
    def interval(right: int, n: int) -> tuple[float, float]:
        found = mean_estimate([1.0] * right + [0.0] * (n - right))
        return found.low or 0.0, found.high or 0.0

    for n in SIZES:
        row = []
        for p in PROPORTIONS:
            outcomes = range(int(binom.ppf(1e-7, n, p)), int(binom.isf(1e-7, n, p)) + 1)
            hits = [right for right in outcomes if interval(right, n)[0] <= p <= interval(right, n)[1]]
            row.append(float(binom.pmf(hits, n, p).sum()))
        yield f"n = {n}", row


CLUSTERS = ((4, 0.1), (4, 0.3), (10, 0.1), (10, 0.3))
"""Mean number of documents per passage, and their correlation."""


def clustered(simulations: int) -> Rows:
    """95 % interval of a score whose questions share passages; beta-binomial clusters of unequal size."""
    draw = np.random.default_rng(0)
    for n in SIZES:
        for size, correlation in CLUSTERS:
            row = [
                covered(fewer(simulations, n), partial(cluster_draw, draw, n, size, p, correlation), p)
                for p in PROPORTIONS
            ]
            yield f"n = {n}, {size} a passage, correlation {correlation}", row


def others(simulations: int) -> Rows:
    """The same for other kinds of passages; the other half of the columns is the mirror image."""
    draw = np.random.default_rng(4)
    kinds: tuple[tuple[str, Passages, Chances], ...] = (
        ("logit-normal, geometric sizes", geometric, logit_normal_chances),
        ("logit-normal, equal sizes", equal, logit_normal_chances),
        ("all or nothing", passages, all_or_nothing_chances),
        ("all or nothing, geometric sizes", geometric, all_or_nothing_chances),
    )
    for name, sizes, chances in kinds:
        for n in SIZES[:3]:
            for size, correlation in CLUSTERS[1:]:
                row = [
                    covered(
                        simulations,
                        partial(cluster_draw, draw, n, size, p, correlation, sizes, chances),
                        p,
                    )
                    for p in PROPORTIONS[:6]
                ]
                yield f"{name}: n = {n}, {size} a passage, correlation {correlation}", row


def known(simulations: int) -> Rows:
    """If the correlation were known: coverage of Wilson's interval at the true effective number."""
    draw = np.random.default_rng(5)
    for n in SIZES[:2]:
        for size, correlation in CLUSTERS:
            row = []
            for p in PROPORTIONS[:6]:
                hits = 0
                for _ in range(simulations):
                    verdicts, labels = cluster_draw(draw, n, size, p, correlation)
                    sizes = np.bincount(labels)
                    effect = 1 + ((sizes**2).sum() / n - 1) * correlation
                    hits += abs(verdicts.mean() - p) <= 1.96 * math.sqrt(p * (1 - p) * effect / n)
                row.append(hits / simulations)
            yield f"n = {n}, {size} a passage, correlation {correlation}", row


def fewer(simulations: int, n: int) -> int:
    """The number of simulations; half for the largest size."""
    return simulations if n < 10_000 else simulations // 2


def covered(simulations: int, draw_one: Callable[[], tuple[np.ndarray, list[int]]], truth: float) -> float:
    """Share of the draws whose interval contains the truth; inverts as `mean_estimate`, without its ends."""
    return sum(verdicts_tail(*draw_one())(truth) >= 0.025 for _ in range(simulations)) / simulations


DISCORDANCES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


def paired() -> Rows:
    """95 % interval of a paired delta of 0/1 verdicts: exact coverage; columns are the share that changes."""
    z = float(norm.isf(0.025))
    for n in SIZES:
        for share, name in ((0.0, "no difference"), (0.5, "half of it one way"), (1.0, "all of it one way")):
            row = []
            for discordance in DISCORDANCES:
                delta = share * discordance
                gained, lost = (discordance + delta) / 2, (discordance - delta) / 2
                b, c = np.meshgrid(outcomes(n, gained), outcomes(n, lost), indexing="ij")
                chance = binom.pmf(b, n, gained) * binom.pmf(c, np.maximum(n - b, 0), lost / (1 - gained))
                inside = np.abs(tango_score(c, b, n, delta)) <= z
                row.append(float((chance * inside)[b + c <= n].sum()))
            yield f"n = {n}, {name}", row


def outcomes(n: int, p: float) -> np.ndarray:
    """The counts that have all but 10^-10 of the probability."""
    return np.arange(binom.ppf(1e-10, n, p), binom.isf(1e-10, n, p) + 1)


def paired_clustered(simulations: int) -> Rows:
    """The same with correlated flips within passages; columns are the share that changes."""
    draw = np.random.default_rng(1)
    for n in SIZES:
        for size in (4, 10):
            for share, name in ((0.0, "no difference"), (0.6, "0.6 of it one way")):
                row, count = [], fewer(simulations, n)
                for discordance in DISCORDANCES[2:]:
                    hits = sum(flips_covered(draw, n, size, discordance, share) for _ in range(count))
                    row.append(hits / count)
                yield f"n = {n}, {size} a passage, {name}", [math.nan, math.nan, *row]


def flips_covered(draw: np.random.Generator, n: int, size: int, discordance: float, share: float) -> bool:
    """Whether one draw's interval contains the true delta; flips and directions have correlation 0.2."""
    places = passages(draw, n, size)
    flips = draw.random(n) < cluster_chances(draw, discordance, 0.2, places)
    gain = draw.random(n) < cluster_chances(draw, (1 + share) / 2, 0.2, places)
    differences, labels = flips * np.where(gain, 1.0, -1.0), places.tolist()
    tail = paired_tail(differences, mean_error(differences, clusters=labels), clusters=labels)
    lost, gained = float((differences < 0).sum()), float((differences > 0).sum())
    return 0.025 <= tango_p(lost, gained, n, share * discordance, tail) <= 0.975


def repeats(simulations: int) -> Rows:
    """95 % interval of pass@k from 10 answers to each problem; columns are the mean chance of one answer."""
    draw = np.random.default_rng(2)
    for name, chances_of in (("beta", beta_chances), ("solved, coin or never", three_kinds)):
        for n in SIZES[:3]:
            for k in (1, 5):
                row = []
                for p in PROPORTIONS:
                    truth, hits = float((1 - (1 - chances_of(draw, p, 400_000)) ** k).mean()), 0
                    for _ in range(simulations):
                        right = draw.binomial(10, chances_of(draw, p, n))
                        found = pass_at_k_interval(right.tolist(), k)
                        hits += found[0] <= truth <= found[1]
                    row.append(hits / simulations)
                yield f"{name}: n = {n}, pass@{k}", row


def pass_at_k_interval(right: Sequence[int], k: int) -> tuple[float, float]:
    """The interval for problems with these numbers of right answers among 10."""
    found = pass_at_k_estimate(right, [10] * len(right), k)
    return found.low or 0.0, found.high or 0.0


@dataclass
class Side:
    """A run in memory instead of a folder."""

    values: dict[str, np.ndarray]
    path: Path = Path("memory")
    tasks: dict[str, TaskRecord] = field(init=False)

    def __post_init__(self) -> None:
        self.tasks = {name: record(name, len(values)) for name, values in self.values.items()}

    @property
    def folder(self) -> Path:
        """The placeholder path."""
        return self.path

    @property
    def log(self) -> RunLog:
        """A minimal run log."""
        return RunLog(
            evalsuite_version="",
            status="complete",
            spec=RunSpec(tasks=(), model="memory"),
            inputs_sha256="",
            model=ModelRecord(id="", revision=None, weights_sha256="", tokenizer_sha256="", numerics=""),
            environment={},
            started="",
            tasks=tuple(self.tasks.values()),
        )

    def samples(self, task: TaskRecord) -> TaskSamples:
        """The verdicts of a task."""
        values, n = self.values[task.name], len(self.values[task.name])
        names, empty = [str(place) for place in range(n)], [""] * n
        metrics = [{"acc": float(value)} for value in values]
        return TaskSamples(range(n), empty, names, [None] * n, ["scored"] * n, empty, empty, metrics)


def record(name: str, n: int) -> TaskRecord:
    """A minimal task record."""
    fields: dict[str, Any] = dict.fromkeys(("task", "recipe", "format", "split", "prompt_sha256"), "")
    numbers: dict[str, Any] = dict.fromkeys(
        ("shots", "prompt_version", "comparability", "requests", "tokens"), 0
    )
    return TaskRecord(
        name=name,
        address=name,
        source={},
        chance=None,
        data={},
        headline="acc",
        metrics={},
        seconds=0,
        counts=Counts(documents=n, scored=n),
        **fields,
        **numbers,
    )


GATE_SIZES = {"large": 5000, "gsm8k": 1319, "arc_challenge": 1172, "humaneval": 164}
GATE_POLICY = Policy.model_validate(
    {
        "default": {"margin": 0.03},
        "tasks": {
            "large": {"tier": "critical", "margin": 0.015},
            "gsm8k": {"tier": "critical", "margin": 0.03},
        },
        "pooled": {"margin": 0.025},
    }
)


def gate(simulations: int) -> Rows:
    """Verdicts on a candidate of known damage (10 % of documents change); margins 1.5, 3, pooled 2.5."""
    draw = np.random.default_rng(3)
    scenarios: tuple[tuple[str, dict[str, float]], ...] = (
        ("no change", {}),
        ("gsm8k worse by its margin", {"gsm8k": 0.03}),
        ("gsm8k worse by two margins", {"gsm8k": 0.06}),
        ("every task worse by 2.5 points (the pooled margin)", dict.fromkeys(GATE_SIZES, 0.025)),
        ("every task worse by 5 points", dict.fromkeys(GATE_SIZES, 0.05)),
    )
    for name, damage in scenarios:
        counts: Counter[str] = Counter()
        for _ in range(simulations // 4):
            first = {task: draw.random(n) < 0.5 for task, n in GATE_SIZES.items()}
            second = {task: change(draw, values, damage.get(task, 0.0)) for task, values in first.items()}
            report = gate_sides(GATE_POLICY, Side(first), Side(second))  # type: ignore[arg-type]
            counts[report.outcome] += 1
        said = f" (the gate says {report.pass_chance:.1%} PASS)" if not damage else ""
        yield (
            name + said,
            [counts[outcome] / (simulations // 4) for outcome in ("PASS", "FAIL", "INCONCLUSIVE")],
        )


def change(
    draw: np.random.Generator, right: np.ndarray, damage: float, discordance: float = 0.1
) -> np.ndarray:
    """Verdicts of a candidate; half of the documents are right in the baseline."""
    lost, gained = discordance + damage, discordance - damage
    return np.where(right, draw.random(len(right)) >= lost, draw.random(len(right)) < gained)


def show(title: str, head: Sequence[object], rows: Rows, bar: bool = True) -> None:
    """Print a table with a star on each cell outside the bar."""
    print(f"\n{title}\n\n| | {' | '.join(map(str, head))} |\n|---{'|---:' * len(head)}|")
    started, outside, total = time.monotonic(), 0, 0
    for name, cells in rows:
        texts = []
        for cell in cells:
            beyond = bar and not math.isnan(cell) and not BAR[0] <= cell <= BAR[1]
            outside, total = outside + beyond, total + (not math.isnan(cell))
            texts.append("" if math.isnan(cell) else f"{100 * cell:.1f}" + "*" * beyond)
        print(f"| {name} | {' | '.join(texts)} |", flush=True)
    if bar:
        print(f"\n{outside} of {total} cells outside 93 to 97 %.", end="")
    print(f" {time.monotonic() - started:.0f} s.")


def main() -> None:
    """Print the requested tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", help="default: all")
    parser.add_argument("--simulations", type=int, default=2000)
    given = parser.parse_args()
    count = given.simulations
    parts: dict[str, tuple[Callable[[], Rows], Sequence[object], str | None]] = {
        "mean": (mean, PROPORTIONS, mean.__doc__),
        "clustered": (lambda: clustered(count), PROPORTIONS, clustered.__doc__),
        "others": (lambda: others(count), PROPORTIONS[:6], others.__doc__),
        "known": (lambda: known(count), PROPORTIONS[:6], known.__doc__),
        "paired": (paired, DISCORDANCES, paired.__doc__),
        "paired-clustered": (lambda: paired_clustered(count), DISCORDANCES, paired_clustered.__doc__),
        "repeats": (lambda: repeats(count), PROPORTIONS, repeats.__doc__),
        "gate": (lambda: gate(count), ("PASS", "FAIL", "INCONCLUSIVE"), gate.__doc__),
    }
    for name in given.parts or parts:
        rows, head, title = parts[name]
        show(title or "", head, rows(), bar=name != "gate")


if __name__ == "__main__":
    main()
