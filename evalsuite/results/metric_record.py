"""Computes the record of a metric from the samples that have it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace

from evalsuite.results.runlog import MetricRecord
from evalsuite.stats.intervals import Estimate, macro_estimate
from evalsuite.stats.metrics import is_macro
from evalsuite.stats.repeats import VarianceSplit, metric_split
from evalsuite.types import Sample


def metric_record(samples: Sequence[Sample], name: str, aggregation: str) -> MetricRecord | None:
    """Mean of a metric over documents (`micro`) or member tasks (`macro`), with its error and interval.

    None if the mean is not finite, like the perplexity of a mean of 710 nats or more.
    """
    groups = grouped(samples) if is_macro(name, aggregation) else {"": samples}
    values = {subtask: [sample.metrics[name] for sample in group] for subtask, group in groups.items()}
    weighted = any(name in sample.weights for sample in samples)
    weights = (
        {subtask: [sample.weights[name] for sample in group] for subtask, group in groups.items()}
        if weighted
        else None
    )
    declared = any(sample.document.cluster for sample in samples)
    clusters = {subtask: [sample.document.cluster for sample in group] for subtask, group in groups.items()}
    try:
        found = macro_estimate(values, clusters if declared else None, weights)
        estimate = asdict(_as_shown(name, found, weighted))
    except OverflowError:
        return None
    split = _split(samples, name) if len(groups) == 1 and not (declared or weighted) else None
    return MetricRecord.of_finite(
        **estimate,
        problem_stderr=split.problems if split else None,
        sampling_stderr=split.sampling if split else None,
    )


def _as_shown(name: str, estimate: Estimate, weighted: bool = False) -> Estimate:
    """The estimate; for perplexity, the exponential of the mean, with its error by the delta method."""
    if name != "perplexity" and not (weighted and name.endswith("_perplexity")):
        return estimate
    value, low, high = (
        None if nats is None else _exp(nats) for nats in (estimate.value, estimate.low, estimate.high)
    )
    stderr = None if estimate.stderr is None else (value or 0.0) * estimate.stderr
    return replace(estimate, value=value or 0.0, stderr=stderr, low=low, high=high)


def _exp(nats: float) -> float:
    """The exponential; infinity if a float cannot hold it."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf


def _split(samples: Sequence[Sample], name: str) -> VarianceSplit | None:
    """Problem and sampling part of the metric's standard error if every document has several answers."""
    values = [sample.metrics[name] for sample in samples]
    correct = [sample.correct for sample in samples]
    return metric_split(name, values, correct, [sample.extracted for sample in samples])


def weighted_mean(samples: Sequence[Sample], name: str) -> float:
    """Mean of a metric by the samples' weights, which are equal where it has none."""
    weights = [sample.weights.get(name, 1.0) for sample in samples]
    parts = (weight * sample.metrics[name] for weight, sample in zip(weights, samples, strict=True))
    return math.fsum(parts) / math.fsum(weights)


def grouped(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """The samples by member task."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.document.subtask, []).append(sample)
    return groups
