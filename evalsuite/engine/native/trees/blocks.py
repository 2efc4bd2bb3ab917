"""A pack cut into blocks that attend within themselves, and the spans that connect them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from evalsuite.engine.planning.pack import Pack
from evalsuite.engine.planning.plan import Ints

SMALL = 128
"""Tokens of a subtree that is computed as one block with a mask of its own, whatever its branches."""
SHORT = 16
"""Tokens that are repeated in front of what follows them: a call over so few keys for all queries takes
longer."""
PADDED = 1.25
"""Blocks share a padded length if none grows by more than this factor."""


class Stretch(NamedTuple):
    """Neighbours in the row, and what comes before them in their sequences."""

    start: int
    stop: int
    branches: bool
    before: tuple[int, ...] = ()
    """Positions of tokens of nodes above it that are too short for a span of their own."""

    @property
    def length(self) -> int:
        """Tokens, those before included."""
        return len(self.before) + self.stop - self.start


@dataclass(frozen=True, eq=False, slots=True)
class Span:
    """A node's tokens as keys of everything below the node."""

    keys: slice
    queries: slice
    before: tuple[int, ...] = ()
    """Positions of further keys, which come before."""

    @property
    def first(self) -> int:
        """Position of the first key."""
        return self.before[0] if self.before else self.keys.start


@dataclass(frozen=True, eq=False, slots=True)
class Blocks:
    """Stretches of the row that attend within themselves, padded to one length."""

    positions: torch.Tensor
    """(blocks x length,) places in the row; padding repeats a block's last one."""
    real: torch.Tensor
    """(n,) indices into `positions` that are neither padding nor before the stretch."""
    kept: torch.Tensor
    """(n,) `positions[real]`."""
    length: int
    branching: bool
    """A token does not see everything before it in its block."""


def cut(pack: Pack) -> tuple[list[Stretch], list[Span]]:
    """Stretches that hold every token once, and the spans that connect them."""
    nodes = pack.nodes
    stretches: list[Stretch] = []
    spans = []
    handed: dict[int, tuple[int, ...]] = {}  # by node, what its children have before them
    done = 0
    columns = (nodes.starts, nodes.stops, nodes.ends, nodes.parents)
    for node, (start, stop, end, parent) in enumerate(zip(*(one.tolist() for one in columns), strict=True)):
        if start < done:
            continue
        before = handed.get(parent, ())
        done = end if end - start <= SMALL else stop
        stretches.append(Stretch(start, done, done > stop, before))
        if end == done:
            continue
        if len(before) + stop - start <= SHORT:
            handed[node] = (*before, *range(start, stop))
        else:
            spans.append(Span(slice(start, stop), slice(stop, end), before))
    return stretches, spans


def bucketed(stretches: list[Stretch]) -> list[list[Stretch]]:
    """Stretches of nearly one length together, longest first."""
    buckets: list[list[Stretch]] = []
    for one in sorted(stretches, key=lambda one: (one.branches, -one.length, one.start)):
        if buckets:
            first = buckets[-1][0]
            if first.branches == one.branches and first.length <= PADDED * one.length:
                buckets[-1].append(one)
                continue
        buckets.append([one])
    return buckets


def padded(bucket: list[Stretch], device: str) -> Blocks:
    """A bucket's stretches on their device."""
    length = bucket[0].length
    positions = np.stack([_positions(one, length) for one in bucket])
    before, lengths = (
        np.array(column)[:, None]
        for column in ([len(one.before) for one in bucket], [one.length for one in bucket])
    )
    order = np.arange(length)
    real = np.flatnonzero((order >= before) & (order < lengths))
    flat = positions.reshape(-1)
    at, where, kept = (torch.from_numpy(array).to(device) for array in (flat, real, flat[real]))
    return Blocks(at, where, kept, length, bucket[0].branches)


def _positions(stretch: Stretch, length: int) -> Ints:
    """(length,) places in the row."""
    own = np.arange(stretch.start, stretch.start + length - len(stretch.before))
    return np.concatenate([np.array(stretch.before, np.int64), np.minimum(own, stretch.stop - 1)])
