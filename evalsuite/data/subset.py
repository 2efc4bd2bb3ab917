"""Selects the documents of a split to evaluate: all, the first ones, or a random sample."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Subset:
    """All documents, the first `limit` ones, or `sample` random ones.

    A larger subset of the same kind (and seed) contains every document of a smaller one.
    """

    limit: int | None = None
    """Number of first documents, taken from the member tasks in turn."""
    sample: int | None = None
    """Number of random documents, spread over the member tasks."""
    seed: int = 0
    """Seed of the random sample."""

    def indices(self, members: Sequence[Hashable], *, equally: bool = False) -> list[int]:
        """Indices of the selected documents, in split order.

        Args:
            members: the member task of each document of the split, in split order.
            equally: draw about the same number from each member task, for a score that is an unweighted mean
                over member tasks; else in proportion to its size, so that the mean over the sample estimates
                the mean over all documents.
        """
        count = self.limit if self.sample is None else self.sample
        if count is None or count >= len(members):
            return list(range(len(members)))
        groups: dict[Hashable, list[int]] = {}
        for index, member in enumerate(members):
            groups.setdefault(member, []).append(index)
        turns = self._turns(groups, equally)
        return sorted(sorted(turns, key=lambda index: (turns[index], index))[:count])

    def _turns(self, groups: dict[Hashable, list[int]], equally: bool) -> dict[int, float]:
        """Sort key of each document; documents with the smallest keys are selected."""
        if self.sample is None:
            return {index: turn for group in groups.values() for turn, index in enumerate(group)}
        turns: dict[int, float] = {}
        for member, group in groups.items():
            random = Random(f"{self.seed} {member}")
            # A systematic sample: one random start per member task, equal steps, equal probabilities.
            start, step = random.random(), 1 if equally else 1 / len(group)
            for turn, index in enumerate(random.sample(group, len(group))):
                turns[index] = (turn + start) * step
        return turns


ALL = Subset()
