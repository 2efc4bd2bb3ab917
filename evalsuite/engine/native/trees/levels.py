"""Cuts a pack into levels, for attention kernels over concatenated sequences of unequal length; numpy only.

Every node attends within itself, and all descendants of a node attend to the node's tokens. The tokens of a
short node are instead repeated in front of the keys of each of its children: a level costs several launches,
and reads and writes all its queries, for however few keys. Long nodes of one level (with the same number of
long ancestors) share no descendant, so that a single kernel call serves all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evalsuite.engine.native.reach import Reach
from evalsuite.engine.planning.pack import Nodes, Pack
from evalsuite.engine.planning.plan import Ints

SHORT_NODE = 64
"""Most tokens that are repeated in front of a node's children; more are a level's keys."""


@dataclass(frozen=True)
class Level:
    """Sequences of keys, and for each the sequence of its queries."""

    keys: Ints
    """Positions of the keys, sequence after sequence."""
    key_edges: Ints
    """(sequences + 1,) index in `keys` where each sequence begins, and the end of the last one."""
    queries: Ints
    """Positions of the queries, sequence after sequence."""
    query_edges: Ints
    """(sequences + 1,) index in `queries` where each sequence begins, and the end of the last one."""


@dataclass(frozen=True)
class Levels:
    """Every pair of a query and a key exactly once: within a node, in a level, or in `partly`."""

    own: Level
    """The row cut into nodes, and into chunks within nodes. The last query attends to all keys of its
    sequence, each query before it to one key less."""
    levels: list[Level]
    """All queries of a sequence attend to all its keys: nodes, and their descendants."""
    partly: list[tuple[Ints, slice, slice]]
    """Keys (repeated ones, then a node's) and queries; some query does not attend to all of the keys."""


def levels_of(pack: Pack, reach: Reach, short: int = SHORT_NODE) -> Levels:
    """Cut a pack into levels.

    Args:
        pack: the pack.
        reach: the reach of the layers; with chunks, no tokens are repeated.
        short: most tokens that are repeated in front of a node's children.
    """
    nodes = pack.nodes
    before, spans = _repeated(nodes, short, len(pack) if reach.chunk is None else 0)
    above = np.zeros(len(nodes.starts), np.int64)  # by node: the number of its ancestors that are spans
    for node, parent in enumerate(nodes.parents.tolist()):
        above[node] = above[parent] + (parent in spans) if parent >= 0 else 0
    partly = []
    if reach.is_limited:
        for node in [*spans]:
            own = slice(int(nodes.starts[node]), int(nodes.stops[node]))
            below = slice(own.stop, int(nodes.ends[node]))
            if not reach.sees(int(pack.depths[below].max()), int(pack.depths[spans[node][0]])):
                del spans[node]
                partly.append((before[node], own, below))
    levels = [_level(nodes, chosen, spans) for chosen in _by_level(above, [*spans])]
    return Levels(_own(pack, before, reach), levels, partly)


def _repeated(nodes: Nodes, short: int, most: int) -> tuple[list[Ints], dict[int, Ints]]:
    """For each node the positions that precede its own keys; and for each span its keys' positions.

    Args:
        nodes: the pack's nodes. A span is a node whose tokens are not repeated in front of its children.
        short: as in `levels_of`.
        most: how many positions may be repeated in all, which bounds the memory of the gathered keys.
    """
    children = np.bincount(nodes.parents + 1, minlength=len(nodes.starts) + 1)[1:].tolist()
    before: list[Ints] = []
    spans: dict[int, Ints] = {}
    tails: dict[int, Ints] = {-1: np.zeros(0, np.int64)}  # by node: what is repeated in front of its children
    columns = (nodes.starts.tolist(), nodes.stops.tolist(), nodes.parents.tolist())
    for node, (start, stop, parent) in enumerate(zip(*columns, strict=True)):
        before.append(tails[parent])
        if not children[node]:
            continue
        path = np.concatenate([before[-1], np.arange(start, stop)])
        cost = children[node] * len(path)
        if len(path) <= short and cost <= most:
            tails[node], most = path, most - cost
        else:
            tails[node], spans[node] = tails[-1], path
    return before, spans


def _own(pack: Pack, before: list[Ints], reach: Reach) -> Level:
    """The sequences within which tokens attend; with chunks, no tokens are repeated in front of any."""
    nodes, every = pack.nodes, np.arange(len(pack))
    edges = np.append(nodes.starts, len(pack))
    if reach.chunk is not None:
        edges = np.union1d(edges, np.flatnonzero(pack.depths % reach.chunk == 0))
        return Level(every, edges, every, edges)
    pieces = [
        piece
        for ahead, start, stop in zip(before, nodes.starts.tolist(), nodes.stops.tolist(), strict=True)
        for piece in (ahead, every[start:stop])
    ]
    lengths = nodes.stops - nodes.starts + np.array([len(ahead) for ahead in before], np.int64)
    return Level(np.concatenate(pieces), _edges(lengths), every, edges)


def _by_level(above: Ints, spans: list[int]) -> Iterator[list[int]]:
    """The nodes in `spans`, level by level; `above` is each node's number of ancestors that are spans."""
    by_level: dict[int, list[int]] = {}
    for node in spans:
        by_level.setdefault(int(above[node]), []).append(node)
    for level in sorted(by_level):
        yield by_level[level]


def _level(nodes: Nodes, chosen: list[int], spans: dict[int, Ints]) -> Level:
    keys = [spans[node] for node in chosen]
    queries = [np.arange(nodes.stops[node], nodes.ends[node]) for node in chosen]
    return Level(
        np.concatenate(keys),
        _edges([len(part) for part in keys]),
        np.concatenate(queries),
        _edges([len(part) for part in queries]),
    )


def _edges(lengths: Ints | list[int]) -> Ints:
    """Where sequences of these lengths begin if they are concatenated, and the end of the last one."""
    return np.concatenate([[0], np.cumsum(lengths)])
