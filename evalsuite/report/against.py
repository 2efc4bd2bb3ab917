"""The comparison of runs for the template; `evalsuite compare` computes all statistics.

Public names: `DeltaLine`, `PairView`, `pair_views`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evalsuite.decisions.compare.compare import compare
from evalsuite.decisions.compare.document import (
    MetricComparison,
    PairComparison,
    SuiteComparison,
    TaskComparison,
)
from evalsuite.decisions.compare.table import amount, interval_text, remark_lines
from evalsuite.report.coloured import TextView, text_views
from evalsuite.report.marks import DASH, Mark, delta_mark
from evalsuite.report.source import RunSource


@dataclass(frozen=True)
class DeltaLine:
    """One metric of one task of a pair."""

    task: str
    first: bool
    headline: bool
    metric: str
    n: int
    baseline: str
    candidate: str
    delta: str
    interval: str
    p: str
    p_holm: str
    verdict: str
    detectable: str
    lost: int
    gained: int
    mark: Mark | None


@dataclass(frozen=True)
class PairView:
    """One candidate against the baseline."""

    number: int
    """Index of the candidate among the runs."""
    baseline: str
    candidate: str
    lines: tuple[DeltaLine, ...]
    remarks: tuple[str, ...]
    texts: tuple[TextView, ...]
    """Held-out texts coloured by which model finds them cheaper."""
    reach: str
    """End of the axis, in points."""


def pair_views(sources: Sequence[RunSource], allow_protocol_drift: bool) -> list[PairView]:
    """Each other run against the first; raises the errors of `compare`."""
    paths = [source.side.path for source in sources]
    comparison = compare(*paths, allow_protocol_drift=allow_protocol_drift)
    return [
        _pair(number, comparison.baseline.label, pair, text_views(sources[0], sources[number], pair))
        for number, pair in enumerate(comparison.pairs, start=1)
    ]


def _pair(number: int, baseline: str, pair: PairComparison, texts: Sequence[TextView]) -> PairView:
    reach = max((abs(end) for task in pair.tasks for end in _ends(task)), default=0.0) * 1.05
    return PairView(
        number=number,
        baseline=baseline,
        candidate=pair.candidate.label,
        lines=tuple(line for task in pair.tasks for line in _lines(task, reach)),
        remarks=(*map(_suite_line, _compared_suites(pair)), *remark_lines(pair)),
        texts=tuple(texts),
        reach=f"{100 * reach:.1f}",
    )


def _compared_suites(pair: PairComparison) -> list[SuiteComparison]:
    return [suite for suite in pair.suites if not suite.problem]


def _suite_line(suite: SuiteComparison) -> str:
    before, after = amount(suite.baseline, suite), amount(suite.candidate, suite)
    delta = amount(suite.delta, suite, signed=True)
    return (
        f"Suite {suite.name}: {before} to {after}, {delta} (95 % interval {interval_text(suite)}): "
        f"{suite.verdict}."
    )


def _ends(task: TaskComparison) -> Iterator[float]:
    for metric in task.metrics.values():
        if not metric.lower_is_better:
            yield from (end for end in (metric.low, metric.high, metric.delta) if end is not None)


def _lines(task: TaskComparison, reach: float) -> Iterator[DeltaLine]:
    for index, (name, metric) in enumerate(task.metrics.items()):
        yield DeltaLine(
            task=task.name,
            first=index == 0,
            headline=name == task.headline,
            metric=name,
            n=metric.n,
            baseline=amount(metric.baseline, metric),
            candidate=amount(metric.candidate, metric),
            delta=amount(metric.delta, metric, signed=True),
            interval=interval_text(metric),
            p=f"{metric.p:.3g}",
            p_holm=DASH if metric.p_holm is None else f"{metric.p_holm:.3g}",
            verdict=metric.verdict,
            detectable=amount(metric.mde, metric),
            lost=metric.lost,
            gained=metric.gained,
            mark=_mark(metric, reach),
        )


def _mark(metric: MetricComparison, reach: float) -> Mark | None:
    if metric.lower_is_better:
        return None
    delta = amount(metric.delta, metric, signed=True)
    label = f"{delta} points, paired 95 % interval {interval_text(metric)}"
    return delta_mark(metric.delta, metric.low, metric.high, reach, label)
