"""A pack on its device, cut into the parts over which attention is computed."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from evalsuite.engine.native.paths import PLAIN, Paths
from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.transfer import arrays_to_device, to_device
from evalsuite.engine.native.trees.blocks import Blocks, Span, Stretch, bucketed, cut, padded
from evalsuite.engine.native.trees.flex import DeviceTiles, device_tiles
from evalsuite.engine.native.trees.levels import levels_of
from evalsuite.engine.planning.pack import Pack
from evalsuite.engine.planning.plan import Ints


@dataclass(frozen=True, eq=False, slots=True)
class LevelCall:
    """A level of the tree as arguments of a kernel for sequences of unequal length."""

    queries: torch.Tensor | slice
    """Positions in the row, each at most once."""
    keys: torch.Tensor | slice
    """Positions in the row; those of short nodes are repeated."""
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
    rounds_as_model: bool = False
    """On a CPU, attend in the model's data type as transformers does, even if that is half precision."""
    ran: set[tuple[str, str]] = field(default_factory=set)
    """Each part (a field of `Paths`) that a layer has computed, with the implementation that did."""
    _masks: dict[tuple[object, Reach], torch.Tensor | None] = field(default_factory=dict)
    _keys: dict[Span, torch.Tensor] = field(default_factory=dict)
    _levels: dict[tuple[Reach, str], DeviceLevels] = field(default_factory=dict)
    _tiles: dict[Reach, DeviceTiles] = field(default_factory=dict)
    _elsewhere: dict[str, "Tree"] = field(default_factory=dict)

    def on(self, device: str) -> "Tree":
        """The tree on another device, for layers there (`--device spread`); transferred once."""
        if device == str(self.ids.device):
            return self
        if device not in self._elsewhere:
            self._elsewhere[device] = tree_of(self.pack, device, self.paths)
            self._elsewhere[device].ran = self.ran
            self._elsewhere[device].rounds_as_model = self.rounds_as_model
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

    def tiles(self, reach: Reach) -> DeviceTiles:
        """The tree's mask by tiles for layers of a given reach."""
        if reach not in self._tiles:
            self._tiles[reach] = device_tiles(self.pack, reach, str(self.ids.device))
        return self._tiles[reach]

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
            self._keys[span] = to_device(torch.tensor(positions), str(self.ids.device))
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
    every = [levels.own, *levels.levels]
    arrays = [part for one in every for part in (one.queries, one.keys, one.query_edges, one.key_edges)]
    on_device = iter(arrays_to_device(arrays, device))
    own, *calls = (
        LevelCall(
            _as_slice(one.queries, next(on_device)),
            _as_slice(one.keys, next(on_device)),
            next(on_device).int(),
            next(on_device).int(),
            max(2, int(np.diff(one.query_edges).max())),
            int(np.diff(one.key_edges).max()),
        )
        for one in every
    )
    partly = [Span(keys, queries, tuple(before.tolist())) for before, keys, queries in levels.partly]
    return DeviceLevels(own, calls, partly)


def _as_slice(positions: Ints, on_device: torch.Tensor) -> torch.Tensor | slice:
    """Positions as an index: a slice, which needs no gather, if they are adjacent and ascending."""
    adjacent = bool((np.diff(positions) == 1).all())
    return slice(int(positions[0]), int(positions[-1]) + 1) if adjacent else on_device


def _added(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """An additive mask: 0 where `seen`, elsewhere a very low value.

    The value is finite, since a query may attend to no key of a part.
    """
    unseen = torch.finfo(dtype).min / 4
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, unseen)
