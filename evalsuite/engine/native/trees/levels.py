"""A pack cut into levels, for attention kernels that take sequences of unequal length end to end; numpy only.

Every node attends within itself, and everything below a node attends to the node's tokens. Nodes of one level
(with as many nodes above them) share no token and nothing below them, so that one call of a kernel serves all
of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evalsuite.engine.native.reach import Reach
from evalsuite.engine.planning.pack import Pack
from evalsuite.engine.planning.plan import Ints


@dataclass(frozen=True)
class Level:
    """Nodes of one level, as sequences of keys, and all that is below each, as sequences of queries."""

    keys: Ints
    """Positions of the nodes' tokens, node after node."""
    key_edges: Ints
    """(nodes + 1,) where each node begins among `keys`, and the end of the last."""
    queries: Ints
    """Positions of the tokens below, node after node."""
    query_edges: Ints
    """The same among `queries`."""


@dataclass(frozen=True)
class Levels:
    """Every pair of a token and one that it sees, once: in its node, in a level or in `partly`."""

    edges: Ints
    """(stretches + 1,) where nodes, and chunks within them, begin in the row, and its end."""
    levels: list[Level]
    """All keys of a sequence are seen by all its queries."""
    partly: list[tuple[slice, slice]]
    """Keys and queries of nodes of which some token below does not see all."""


def levels_of(pack: Pack, reach: Reach) -> Levels:
    """Cut a pack, for layers whose tokens see as far back as `reach` says."""
    nodes = pack.nodes
    edges = np.append(nodes.starts, len(pack))
    if reach.chunk is not None:
        edges = np.union1d(edges, np.flatnonzero(pack.depths % reach.chunk == 0))
    above = np.zeros(len(nodes.starts), np.int64)
    for node, parent in enumerate(nodes.parents.tolist()):
        above[node] = above[parent] + 1 if parent >= 0 else 0
    partly: list[tuple[slice, slice]] = []
    inner = nodes.ends > nodes.stops
    if reach.is_limited:
        for node in np.flatnonzero(inner).tolist():
            below = slice(int(nodes.stops[node]), int(nodes.ends[node]))
            if not reach.sees(int(pack.depths[below].max()), int(pack.depths[nodes.starts[node]])):
                partly.append((slice(int(nodes.starts[node]), below.start), below))
                inner[node] = False
    return Levels(edges, [_level(pack, chosen) for chosen in _by_level(above, inner)], partly)


def _by_level(above: Ints, inner: np.ndarray) -> Iterator[Ints]:
    """Indices of the nodes with something below them, level by level."""
    for level in range(int(above.max(initial=-1)) + 1):
        chosen = np.flatnonzero(inner & (above == level))
        if len(chosen):
            yield chosen


def _level(pack: Pack, chosen: Ints) -> Level:
    nodes = pack.nodes
    keys, key_edges = _end_to_end(nodes.starts[chosen], nodes.stops[chosen])
    queries, query_edges = _end_to_end(nodes.stops[chosen], nodes.ends[chosen])
    return Level(keys, key_edges, queries, query_edges)


def _end_to_end(starts: Ints, stops: Ints) -> tuple[Ints, Ints]:
    """Positions of stretches one after the other, and where each begins among them."""
    lengths = stops - starts
    edges = np.concatenate([[0], lengths.cumsum()])
    return np.arange(edges[-1]) + np.repeat(starts - edges[:-1], lengths), edges
