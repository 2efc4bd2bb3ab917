"""Which documents of a split are evaluated: all, the first ones, or a random sample."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Subset:
    """All documents, `limit` of them from the beginning, or `sample` of them drawn at random.

    A larger subset of the same kind (and seed) holds every document of a smaller one.
    """

    limit: int | None = None
    """Take the first documents, from the member tasks in turn."""
    sample: int | None = None
    """Draw documents, spread over the member tasks."""
    seed: int = 0
    """Of the draw."""

    def indices(self, members: Sequence[Hashable], *, equally: bool = False) -> list[int]:
        """The chosen documents, in split order.

        Args:
            members: the member task of each document of the split, in split order.
            equally: draw about as many documents from each member task, for a score that is a plain mean over
                member tasks; else from each in proportion to its size, so that the mean over the sample
                estimates that over all documents.
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
        """When each document is taken: smaller is earlier."""
        if self.sample is None:
            return {index: turn for group in groups.values() for turn, index in enumerate(group)}
        turns: dict[int, float] = {}
        for member, group in groups.items():
            random = Random(f"{self.seed} {member}")
            # One random start per member task and equal steps: a systematic sample, each document equally
            # likely.
            start, step = random.random(), 1 if equally else 1 / len(group)
            for turn, index in enumerate(random.sample(group, len(group))):
                turns[index] = (turn + start) * step
        return turns


ALL = Subset()
