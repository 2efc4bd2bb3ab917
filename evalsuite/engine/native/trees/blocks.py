"""Cuts a pack into blocks, within which tokens attend, and spans, which connect blocks."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from evalsuite.engine.native.transfer import arrays_to_device
from evalsuite.engine.planning.pack import Pack
from evalsuite.engine.planning.plan import Ints

SMALL = 128
"""Largest subtree, in tokens, that is computed as one block with a mask, whatever its branches."""
SHORT = 16
"""Most tokens that are repeated in front of their child blocks: for so few keys, a span is slower."""
PADDED = 1.25
"""Blocks share a padded length if none grows by more than this factor."""


class Stretch(NamedTuple):
    """Adjacent tokens of the row, and earlier tokens of their sequences, repeated in front of them."""

    start: int
    stop: int
    branches: bool
    before: tuple[int, ...] = ()
    """Positions of the tokens of nodes above that are too short for a span."""

    @property
    def length(self) -> int:
        """Number of tokens, those of `before` included."""
        return len(self.before) + self.stop - self.start


@dataclass(frozen=True, eq=False, slots=True)
class Span:
    """A node's tokens, as keys of all of the node's descendants."""

    keys: slice
    queries: slice
    before: tuple[int, ...] = ()
    """Positions of further keys, which precede `keys`."""

    @property
    def first(self) -> int:
        """Position of the first key."""
        return self.before[0] if self.before else self.keys.start


@dataclass(frozen=True, eq=False, slots=True)
class Blocks:
    """Stretches of the row within which tokens attend, padded to one length."""

    positions: torch.Tensor
    """(blocks x length,) positions in the row; padding repeats a block's last position."""
    real: torch.Tensor
    """(n,) indices into `positions` without padding and without repeated earlier tokens."""
    kept: torch.Tensor
    """(n,) `positions[real]`."""
    length: int
    branching: bool
    """Whether a token may not attend to all earlier tokens of its block."""


def cut(pack: Pack) -> tuple[list[Stretch], list[Span]]:
    """Stretches that contain every token once, and the spans that connect them."""
    nodes = pack.nodes
    stretches: list[Stretch] = []
    spans = []
    repeated: dict[int, tuple[int, ...]] = {}  # by node: positions that are repeated before its children
    done = 0
    columns = (nodes.starts.tolist(), nodes.stops.tolist(), nodes.ends.tolist(), nodes.parents.tolist())
    for node, (start, stop, end, parent) in enumerate(zip(*columns, strict=True)):
        if start < done:
            continue
        before = repeated.get(parent, ())
        done = end if end - start <= SMALL else stop
        stretches.append(Stretch(start, done, done > stop, before))
        if end == done:
            continue
        if len(before) + stop - start <= SHORT:
            repeated[node] = (*before, *range(start, stop))
        else:
            spans.append(Span(slice(start, stop), slice(stop, end), before))
    return stretches, spans


def bucketed(stretches: list[Stretch]) -> list[list[Stretch]]:
    """Groups of stretches of similar length, longest first."""
    buckets: list[list[Stretch]] = []
    for stretch in sorted(stretches, key=lambda item: (item.branches, -item.length, item.start)):
        if buckets:
            first = buckets[-1][0]
            if first.branches == stretch.branches and first.length <= PADDED * stretch.length:
                buckets[-1].append(stretch)
                continue
        buckets.append([stretch])
    return buckets


def padded(bucket: list[Stretch], device: str) -> Blocks:
    """A bucket's stretches as blocks on a device."""
    length = bucket[0].length
    positions = np.stack([_positions(stretch, length) for stretch in bucket])  # (blocks, length)
    before = np.array([len(stretch.before) for stretch in bucket])[:, None]  # (blocks, 1)
    lengths = np.array([stretch.length for stretch in bucket])[:, None]  # (blocks, 1)
    order = np.arange(length)
    real = np.flatnonzero((order >= before) & (order < lengths))
    flat = positions.reshape(-1)
    every, kept, rows = arrays_to_device((flat, real, flat[real]), device)
    return Blocks(every, kept, rows, length, bucket[0].branches)


def _positions(stretch: Stretch, length: int) -> Ints:
    """(length,) positions in the row, padded with the stretch's last position."""
    own = np.arange(stretch.start, stretch.start + length - len(stretch.before))
    return np.concatenate([np.array(stretch.before, np.int64), np.minimum(own, stretch.stop - 1)])
