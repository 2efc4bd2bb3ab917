"""A pack on its device, cut into the parts over which attention is computed."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from evalsuite.engine.native.paths import PLAIN, Paths
from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.transfer import arrays_to_device
from evalsuite.engine.native.trees.blocks import Blocks, Span, Stretch, bucketed, cut, padded
from evalsuite.engine.native.trees.levels import levels_of
from evalsuite.engine.planning.pack import Pack
from evalsuite.engine.planning.plan import Ints


@dataclass(frozen=True, eq=False, slots=True)
class LevelCall:
    """A level of the tree as arguments of a kernel for sequences of unequal length."""

    queries: torch.Tensor | slice
    """Positions in the row."""
    keys: torch.Tensor | slice
    """Positions in the row."""
    query_edges: torch.Tensor
    """(sequences + 1,) int32 index where each sequence of queries begins, and the end of the last one."""
    key_edges: torch.Tensor
    """(sequences + 1,) int32 index where each sequence of keys begins, and the end of the last one."""
    longest_queries: int
    """Longest sequence of queries, at least 2: 1 selects another FlashAttention path, without benefit."""
    longest_keys: int


@dataclass(frozen=True, eq=False, slots=True)
class DeviceLevels:
    """`levels.Levels` as kernel calls on a device."""

    own: LevelCall
    calls: list[LevelCall]
    partly: list[Span]


@dataclass(eq=False)
class Tree:
    """A pack on its device for one forward pass, with cached masks and indices for the layers."""

    pack: Pack
    ids: torch.Tensor
    """(tokens,), as are `depths` and `ends`."""
    depths: torch.Tensor
    ends: torch.Tensor
    paths: Paths = PLAIN
    """The implementations that compute the layers."""
    layers: int = 0
    """Number of layers that have used the tree."""
    _masks: dict[tuple[object, Reach], torch.Tensor | None] = field(default_factory=dict)
    _keys: dict[Span, torch.Tensor] = field(default_factory=dict)
    _levels: dict[tuple[Reach, str], DeviceLevels] = field(default_factory=dict)
    _elsewhere: dict[str, "Tree"] = field(default_factory=dict)

    def on(self, device: str) -> "Tree":
        """The tree on another device, for layers there (`--device spread`); transferred once."""
        if device == str(self.ids.device):
            return self
        if device not in self._elsewhere:
            self._elsewhere[device] = tree_of(self.pack, device, self.paths)
        return self._elsewhere[device]

    @cached_property
    def blocks(self) -> list[Blocks]:
        """Blocks that contain every token once."""
        return [padded(bucket, str(self.ids.device)) for bucket in bucketed(self._parts[0])]

    @property
    def spans(self) -> list[Span]:
        """The spans that connect the blocks."""
        return self._parts[1]

    @cached_property
    def _parts(self) -> tuple[list[Stretch], list[Span]]:
        return cut(self.pack)

    @cached_property
    def deepest(self) -> int:
        """The largest depth."""
        return int(self.pack.depths.max())

    def levels(self, reach: Reach, device: str) -> DeviceLevels:
        """The tree's levels for layers of a given reach, on the layer's device."""
        if (reach, device) not in self._levels:
            self._levels[reach, device] = _ready_levels(self.pack, reach, device)
        return self._levels[reach, device]

    def block_mask(self, blocks: Blocks, reach: Reach, dtype: torch.dtype) -> torch.Tensor | None:
        """Mask (blocks, 1, length, length), added to scores; None if tokens attend to all earlier ones."""
        if not blocks.branching and not reach.cuts(blocks.length, self.deepest):
            return None
        if (blocks, reach) not in self._masks:
            seen = self.seen_in(blocks)
            if reach.is_limited:
                depths = self.depths[blocks.positions].view(-1, blocks.length)
                seen &= reach.sees(depths[:, :, None], depths[:, None, :])
            self._masks[blocks, reach] = _added(seen, dtype)[:, None]
        return self._masks[blocks, reach]

    def seen_in(self, blocks: Blocks) -> torch.Tensor:
        """Whether a block's second token is the first one or its ancestor: (blocks, length, length) bool."""
        positions = blocks.positions.view(-1, blocks.length)
        order = torch.arange(blocks.length, device=positions.device)
        return (order[:, None] >= order) & (positions[:, :, None] < self.ends[positions][:, None, :])

    def keys_of(self, span: Span) -> slice | torch.Tensor:
        """Positions of a span's keys, as an index."""
        if not span.before:
            return span.keys
        if span not in self._keys:
            positions = [*span.before, *range(span.keys.start, span.keys.stop)]
            self._keys[span] = torch.tensor(positions, device=self.ids.device)
        return self._keys[span]

    def span_mask(self, span: Span, reach: Reach, dtype: torch.dtype) -> torch.Tensor | None:
        """Mask (1, 1, queries, keys), added to scores; None if every query attends to every key."""
        depths = self.pack.depths
        if not reach.is_limited or reach.sees(int(depths[span.queries].max()), int(depths[span.first])):
            return None
        if (span, reach) not in self._masks:
            seen = reach.sees(self.depths[span.queries, None], self.depths[None, self.keys_of(span)])
            self._masks[span, reach] = _added(seen, dtype)[None, None]
        return self._masks[span, reach]


def tree_of(pack: Pack, device: str, paths: Paths = PLAIN) -> Tree:
    """A pack on a device, ready for its forward pass."""
    ids, depths, ends = arrays_to_device((pack.ids, pack.depths, pack.ends), device)
    return Tree(pack, ids, depths, ends, paths)


def _ready_levels(pack: Pack, reach: Reach, device: str) -> DeviceLevels:
    levels = levels_of(pack, reach)
    arrays = [levels.edges]
    for level in levels.levels:
        arrays += [level.queries, level.keys, level.query_edges, level.key_edges]
    edges, *others = arrays_to_device(arrays, device)
    every, longest = slice(0, len(pack)), int(np.diff(levels.edges).max())
    own = LevelCall(every, every, edges.int(), edges.int(), max(2, longest), longest)
    calls = [
        LevelCall(
            _as_slice(level.queries, others[index]),
            _as_slice(level.keys, others[index + 1]),
            others[index + 2].int(),
            others[index + 3].int(),
            max(2, int(np.diff(level.query_edges).max())),
            int(np.diff(level.key_edges).max()),
        )
        for index, level in zip(range(0, len(others), 4), levels.levels, strict=True)
    ]
    return DeviceLevels(own, calls, [Span(keys, queries) for keys, queries in levels.partly])


def _as_slice(positions: Ints, on_device: torch.Tensor) -> torch.Tensor | slice:
    """Ascending positions as an index: a slice, which needs no gather, if they are adjacent."""
    first, count = int(positions[0]), len(positions)
    return slice(first, first + count) if int(positions[-1]) == first + count - 1 else on_device


def _added(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """An additive mask: 0 where `seen`, elsewhere a very low value.

    The value is finite, since a query may attend to no key of a part.
    """
    unseen = torch.finfo(dtype).min / 4
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, unseen)
