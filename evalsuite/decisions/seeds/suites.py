"""The noise between seeds of a suite's mean.

Public names: `suite_noise`, `mean_value`.
"""

import math
from collections.abc import Mapping

from evalsuite.decisions.seeds.document import SeedNoise
from evalsuite.decisions.seeds.measured import Seeds
from evalsuite.decisions.seeds.published import published_table
from evalsuite.results.runlog import SuiteMeanRecord, TaskRecord
from evalsuite.stats.seeds import sd_of_sum


def suite_noise(
    label: str, mean: SuiteMeanRecord, tasks: Mapping[str, SeedNoise], seeds: Seeds | None
) -> SeedNoise | None:
    """The spread of the mean between seeds: measured, else published, else from that of its tasks.

    From tasks it is that of independent ones, and a lower bound where the noise of some is unknown.

    Args:
        label: suite and mean (`core v1`).
        mean: the mean.
        tasks: noise of the tasks for which it is known, by name.
        seeds: runs of several seeds; None if there are none.
    """
    if seeds is not None:
        return seeds.noise_of_mean(lambda records: mean_value(mean, records))
    if published := published_table().suites.get(label):
        return published_table().noise(published)
    known = [(term, tasks[term.task]) for term in mean.terms if term.task in tasks]
    if not known:
        return None
    sources = ", ".join(dict.fromkeys(noise.source for _, noise in known))
    return SeedNoise(
        sd=sd_of_sum([(term.shared, term.weight * noise.sd) for term, noise in known]),
        trainings=min(noise.trainings for _, noise in known),
        source=f"{len(known)} of {len(mean.terms)} tasks as if they were independent: {sources}",
    )


def mean_value(mean: SuiteMeanRecord, records: Mapping[str, TaskRecord]) -> float | None:
    """The mean from records by name; None if a score is missing."""
    scores = [
        records[term.task].metrics.get(term.metric) if term.task in records else None for term in mean.terms
    ]
    values = [score.value for score in scores if score is not None]
    if len(values) < len(mean.terms):
        return None
    return mean.offset + math.fsum(
        term.weight * value for term, value in zip(mean.terms, values, strict=True)
    )
