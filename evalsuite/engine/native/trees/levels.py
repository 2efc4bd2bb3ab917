"""Cuts a pack into levels, for attention kernels over concatenated sequences of unequal length; numpy only.

Every node attends within itself, and all descendants of a node attend to the node's tokens. Nodes of one
level (with the same number of ancestors) share no token and no descendant, so that a single kernel call
serves all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsuite.engine.native.reach import Reach
from evalsuite.engine.planning.pack import Pack
from evalsuite.engine.planning.plan import Ints


@dataclass(frozen=True)
class Level:
    """The nodes of one level as sequences of keys, and each node's descendants as a sequence of queries."""

    keys: Ints
    """Positions of the nodes' tokens, node after node."""
    key_edges: Ints
    """(nodes + 1,) index in `keys` where each node begins, and the end of the last node."""
    queries: Ints
    """Positions of the nodes' descendants, node after node."""
    query_edges: Ints
    """(nodes + 1,) index in `queries` where each node's descendants begin, and the end of the last ones."""


@dataclass(frozen=True)
class Levels:
    """Every pair of a query and a key exactly once: within a node, in a level, or in `partly`."""

    edges: Ints
    """(stretches + 1,) where nodes, and chunks within nodes, begin in the row, and the row's end."""
    levels: list[Level]
    """All queries of a sequence attend to all its keys."""
    partly: list[tuple[slice, slice]]
    """Keys and queries of nodes with a descendant that does not attend to all of the node's tokens."""


def levels_of(pack: Pack, reach: Reach) -> Levels:
    """Cut a pack into levels, for layers of the given reach."""
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


def _by_level(above: Ints, inner: NDArray[np.bool_]) -> Iterator[Ints]:
    """Indices of the nodes in `inner`, level by level; `above` is each node's number of ancestors."""
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
    """Positions of stretches, one after the other, and where each stretch begins among them."""
    lengths = stops - starts
    edges = np.concatenate([[0], lengths.cumsum()])
    return np.arange(edges[-1]) + np.repeat(starts - edges[:-1], lengths), edges
