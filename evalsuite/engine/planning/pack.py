"""Packs: trees of tokens laid out as one row for one forward pass; numpy only.

The tokens are in depth-first order: all descendants of a token follow it directly, and token j attends to
token i exactly if i <= j < ends[i].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evalsuite.engine.planning.plan import Inputs, Ints, PackRange, ScorePlan
from evalsuite.types import ScoreRequest


@dataclass(frozen=True)
class Pack:
    """A tree of tokens as one row; all arrays are (tokens,)."""

    ids: Ints
    depths: Ints
    """Position of the token in its own sequence: the position id."""
    parents: Ints
    """Index in the row of the preceding token of its sequence; -1 for a first token."""
    ends: Ints
    """Index in the row behind the token's last descendant."""

    def __len__(self) -> int:
        return len(self.ids)

    def filled(self, size: int) -> "Pack":
        """The pack padded to `size` tokens; each padding token is a sequence of its own and is never read."""
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
        """The tree's nodes: stretches of tokens without a branch."""
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
    """Unbranched stretches of a pack's tokens, parents before children; all arrays are (nodes,)."""

    starts: Ints
    stops: Ints
    """A node's tokens are [starts, stops) of the row."""
    ends: Ints
    """The tokens of a node's descendants are [stops, ends) of the row."""
    parents: Ints
    """Index of the parent node, which this node continues; -1 for a root."""


def lay(inputs: Inputs, run: PackRange, read: Sequence[int]) -> tuple[Pack, list[Ints]]:
    """Lay the inputs of a run out as a pack; also returns the row indices of each input's last `read` tokens.

    Args:
        inputs: the tree.
        run: indices of the inputs, ascending.
        read: (inputs of the run,) how many last positions of each are read.
    """
    shared = inputs.shared_within(run)
    lengths = inputs.lengths[list(run)].tolist()
    size = sum(lengths) - sum(shared)
    ids, depths, ends = (np.empty(size, np.int64) for _ in range(3))
    parents = np.arange(-1, size - 1)
    path = np.empty(max(lengths, default=0), np.int64)  # row index of the current input's token at each depth
    last_positions = []
    start = depth = 0
    for index, kept, length, count in zip(run, shared, lengths, read, strict=True):
        ends[path[kept:depth]] = start
        stop = start + length - kept
        path[kept:length] = np.arange(start, stop)
        ids[start:stop] = inputs.of(index)[kept:]
        depths[start:stop] = np.arange(kept, length)
        parents[start:stop][:1] = path[kept - 1] if kept else -1
        last_positions.append(path[length - count : length].copy())
        start, depth = stop, length
    ends[path[:depth]] = size
    return Pack(ids, depths, parents, ends), last_positions


@dataclass(frozen=True)
class Targets:
    """The continuation tokens that a pack scores, and the positions whose logits predict them."""

    requests: tuple[ScoreRequest, ...]
    rows: Ints
    """(rows,) positions whose logits are needed, ascending."""
    row_of: Ints
    """(targets,) index into `rows` of the logits that predict it; a request's targets are adjacent."""
    tokens: Ints
    """(targets,) token ids."""


def lay_requests(plan: ScorePlan, run: PackRange) -> tuple[Pack, Targets]:
    """The pack of a run of the plan's inputs, and its requests' targets."""
    together = [plan.requests[index] for index in run]
    longest = [max(len(request.continuation) for request in requests) for requests in together]
    pack, paths = lay(plan.inputs, run, longest)
    positions = [
        path[-len(request.continuation) :]
        for requests, path in zip(together, paths, strict=True)
        for request in requests
    ]
    requests = tuple(request for requests in together for request in requests)
    rows, row_of = np.unique(np.concatenate(positions), return_inverse=True)
    tokens = np.array([token for request in requests for token in request.continuation], np.int64)
    return pack, Targets(requests, rows, row_of, tokens)
