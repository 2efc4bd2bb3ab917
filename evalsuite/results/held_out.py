"""What the record of held-out texts has and other records do not."""

from collections.abc import Sequence

from evalsuite.results.metric_record import metric_record
from evalsuite.results.runlog import MetricRecord
from evalsuite.stats.stderr import effective_units
from evalsuite.types import Sample

ENOUGH = 30
"""Documents of equal length that an interval needs: tests/stats/test_text_coverage.py."""


def text_metrics(samples: Sequence[Sample]) -> dict[str, MetricRecord | None]:
    """All metrics of the texts, each over the documents that have it: some are of a single domain."""
    names = dict.fromkeys(name for sample in samples for name in sample.metrics)
    having = {name: [sample for sample in samples if name in sample.metrics] for name in names}
    shown = sorted(names, key=lambda name: "[" in name)
    return {name: metric_record(having[name], name, "micro") for name in shown}


def few_texts(samples: Sequence[Sample]) -> list[str]:
    """A note if there is no interval, or one on so few or so unequal texts that it may be too short."""
    sizes = [sample.weights["bits_per_byte"] for sample in samples if "bits_per_byte" in sample.weights]
    if not sizes or (effective := effective_units(sizes)) >= ENOUGH:
        return []
    if len(sizes) == 1:
        return ["there is no interval: the score is that of a single text"]
    return [
        f"the interval rests on {len(sizes)} texts, as good as {effective:.3g} of equal length; with fewer "
        f"than {ENOUGH} it may be too short"
    ]
