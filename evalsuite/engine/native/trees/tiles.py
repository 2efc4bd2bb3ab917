"""Which tiles of the matrix of scores attention over a pack has to compute; numpy only.

In depth-first order a token attends to the tokens `kv <= q < ends[kv]`. Whether none, some or all pairs of a
tile of queries and keys do so follows from a few minima and maxima of the tile's tokens.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalsuite.engine.native.reach import Reach
from evalsuite.engine.planning.pack import Pack
from evalsuite.engine.planning.plan import Ints

TILE = 128
"""Queries, and keys, of a tile: FlexAttention's default, which the tile sizes of all its kernels divide."""


@dataclass(frozen=True)
class Tiles:
    """Tiles of queries (rows) and keys (columns), both (tiles, tiles); tiles in neither have no pair."""

    partial: NDArray[np.bool_]
    """Some of the tile's queries may attend to some of its keys."""
    full: NDArray[np.bool_]
    """Each of the tile's queries attends to each of its keys."""

    @property
    def visited(self) -> int:
        """Number of tiles that attention computes."""
        return int(self.partial.sum() + self.full.sum())

    @property
    def of_causal(self) -> float:
        """How many times as many tiles a causal mask over the row would compute."""
        rows = len(self.partial)
        return rows * (rows + 1) / 2 / self.visited


def padded_ends(pack: Pack, size: int) -> Ints:
    """(size,) the pack's `ends`; each padding token behind the pack is a sequence of its own."""
    return np.concatenate([pack.ends, np.arange(len(pack), size) + 1])


def tiles_of(pack: Pack, reach: Reach, size: int) -> Tiles:
    """The tiles of a pack padded to `size` tokens, for layers of the given reach.

    A tile in `partial` may turn out to have no pair if the reach is limited, since its tokens are judged by
    their extremes; it then only takes time. Queries that are padding see nothing, except in a tile that also
    has real ones.

    Args:
        pack: the pack.
        reach: how far back a token attends.
        size: a multiple of `TILE`, at least the pack's length.
    """
    ends = padded_ends(pack, size).reshape(-1, TILE)
    starts = np.arange(0, size, TILE)
    order = np.arange(len(starts))
    earlier = order[:, None] > order
    seen = (ends.max(1) > starts[:, None]) & (earlier | np.eye(len(starts), dtype=bool))
    seen[starts >= len(pack)] = False
    full = (ends.min(1) >= starts[:, None] + TILE) & earlier
    if reach.is_limited:
        depths = np.pad(pack.depths, (0, size - len(pack)), mode="edge").reshape(-1, TILE)
        firsts = reach.first(depths)
        seen &= depths.max(1) >= firsts.min(1)[:, None]
        full &= depths.min(1) >= firsts.max(1)[:, None]
    return Tiles(seen & ~full, full)
