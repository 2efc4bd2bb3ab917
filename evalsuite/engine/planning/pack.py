"""One row of tokens that holds a tree: what a forward pass computes; numpy only.

The tokens stand in the order in which a walk through the tree meets them, so that everything below a token
follows it directly, and token i is seen by token j exactly if i <= j < ends[i].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evalsuite.engine.planning.plan import Inputs, Ints, PackRange, ScorePlan
from evalsuite.types import ScoreRequest


@dataclass(frozen=True)
class Pack:
    """A tree of tokens as one row; all arrays have one entry per token."""

    ids: Ints
    depths: Ints
    """Place in its own sequence: the position id."""
    parents: Ints
    """Position (in the row) of the token before it in its own sequence; -1 for a first token."""
    ends: Ints
    """Position after the last token that comes after it in some sequence."""

    def __len__(self) -> int:
        return len(self.ids)

    def filled(self, size: int) -> "Pack":
        """With tokens behind it that nobody reads, each a sequence of its own, up to so many in all."""
        more = size - len(self)
        zeros = np.zeros(more, np.int64)
        return Pack(
            np.concatenate([self.ids, zeros]),
            np.concatenate([self.depths, zeros]),
            np.concatenate([self.parents, zeros - 1]),
            np.concatenate([self.ends, np.arange(len(self), size) + 1]),
        )

    @cached_property
    def nodes(self) -> "Nodes":
        """The tree by stretches of tokens that follow each other without a branch."""
        first = np.flatnonzero(
            (self.parents != np.arange(len(self)) - 1)
            | (np.diff(self.ends, prepend=-1) != 0)
            | (self.parents < 0)
        )
        before = self.parents[first]
        return Nodes(
            starts=first,
            stops=np.append(first[1:], len(self)),
            ends=self.ends[first],
            parents=np.where(before < 0, -1, np.searchsorted(first, before, side="right") - 1),
        )


@dataclass(frozen=True)
class Nodes:
    """Stretches of a pack's tokens, parents before children; all arrays have one entry per node."""

    starts: Ints
    stops: Ints
    """Positions of the first token and behind the last one."""
    ends: Ints
    """Position behind the last token below it: its descendants are the tokens from `stops` to `ends`."""
    parents: Ints
    """Index of the node that it goes on from; -1 for a root."""


def lay(inputs: Inputs, run: PackRange, read: Sequence[int]) -> tuple[Pack, list[Ints]]:
    """The pack of a run, and for each of its inputs the positions of its last `read` tokens.

    Args:
        inputs: the tree.
        run: indices of the inputs, ascending.
        read: for each input of the run, how many of its last positions are wanted.
    """
    shared = inputs.shared_within(run)
    lengths = inputs.lengths[list(run)].tolist()
    size = sum(lengths) - sum(shared)
    ids, depths, ends = (np.empty(size, np.int64) for _ in range(3))
    parents = np.arange(-1, size - 1)
    path = np.empty(max(lengths, default=0), np.int64)  # position of the token at each depth
    wanted = []
    start = depth = 0
    for index, kept, length, count in zip(run, shared, lengths, read, strict=True):
        ends[path[kept:depth]] = start
        stop = start + length - kept
        path[kept:length] = np.arange(start, stop)
        ids[start:stop] = inputs.of(index)[kept:]
        depths[start:stop] = np.arange(kept, length)
        parents[start:stop][:1] = path[kept - 1] if kept else -1
        wanted.append(path[length - count : length].copy())
        start, depth = stop, length
    ends[path[:depth]] = size
    return Pack(ids, depths, parents, ends), wanted


@dataclass(frozen=True)
class Targets:
    """What is read from a pack: for each continuation token of each request, the position whose logits
    predict it."""

    requests: tuple[ScoreRequest, ...]
    rows: Ints
    """Positions whose logits somebody needs, ascending."""
    row_of: Ints
    """(targets,) index among `rows`; the targets of one request follow each other."""
    tokens: Ints
    """(targets,) ids."""


def lay_requests(plan: ScorePlan, run: PackRange) -> tuple[Pack, Targets]:
    """The pack of a run of the plan's inputs, and what its requests read from it."""
    together = [plan.requests[index] for index in run]
    longest = [max(len(one.continuation) for one in requests) for requests in together]
    pack, paths = lay(plan.inputs, run, longest)
    positions = [
        path[-len(one.continuation) :]
        for requests, path in zip(together, paths, strict=True)
        for one in requests
    ]
    requests = tuple(one for requests in together for one in requests)
    rows, row_of = np.unique(np.concatenate(positions), return_inverse=True)
    tokens = np.array([token for one in requests for token in one.continuation], np.int64)
    return pack, Targets(requests, rows, row_of, tokens)
