"""Pairs the documents of two runs by content, never by index.

Public names: `Pairs`, `align`, `Values`, `common_values`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.results.read import TaskSamples


@dataclass(frozen=True)
class Pairs:
    """Rows of two samples tables, paired by document."""

    common: tuple[tuple[int, int], ...]
    """(row in the baseline, row in the candidate), in the baseline's order."""
    only_first: tuple[int, ...]
    only_second: tuple[int, ...]


def align(first: TaskSamples, second: TaskSamples) -> Pairs:
    """Pair rows with equal keys; if a key occurs several times, its n-th rows are paired."""
    rows = {name: row for row, name in enumerate(_names(second))}
    common, only_first = [], []
    for row, name in enumerate(_names(first)):
        other = rows.pop(name, None)
        if other is None:
            only_first.append(row)
        else:
            common.append((row, other))
    return Pairs(tuple(common), tuple(only_first), tuple(sorted(rows.values())))


def _names(samples: TaskSamples) -> list[tuple[str, int]]:
    seen: dict[str, int] = {}
    names = []
    for key in samples.keys:
        seen[key] = seen.get(key, -1) + 1
        names.append((key, seen[key]))
    return names


@dataclass(frozen=True)
class Values:
    """One metric's values on the common documents with a verdict in both runs."""

    rows: tuple[tuple[int, int], ...]
    baseline: Sequence[float]
    candidate: Sequence[float]
    subtasks: Sequence[str]
    clusters: Sequence[str] | None
    """None if the task declares no clusters."""
    weights: Sequence[float] | None = None
    """The documents' weights in the baseline; None if the metric is a plain mean."""


def common_values(first: TaskSamples, second: TaskSamples, pairs: Pairs, metric: str) -> Values:
    """The paired values of `metric` in both runs."""
    rows = tuple(
        (one, other)
        for one, other in pairs.common
        if metric in first.metrics[one] and metric in second.metrics[other]
    )
    labels = [first.clusters[one] for one, _ in rows]
    weights = [first.weights[one][metric] for one, _ in rows if metric in first.weights[one]]
    return Values(
        rows=rows,
        baseline=[first.metrics[one][metric] for one, _ in rows],
        candidate=[second.metrics[other][metric] for _, other in rows],
        subtasks=[first.subtasks[one] for one, _ in rows],
        clusters=[label or "" for label in labels] if any(labels) else None,
        weights=weights if len(weights) == len(rows) else None,
    )
