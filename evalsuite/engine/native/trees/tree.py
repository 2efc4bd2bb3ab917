"""A pack on its device, cut into the parts that attention over it is computed in."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.transfer import arrays_to_device
from evalsuite.engine.native.trees.blocks import Blocks, Span, Stretch, bucketed, cut, padded
from evalsuite.engine.native.trees.levels import levels_of
from evalsuite.engine.planning.pack import Pack
from evalsuite.engine.planning.plan import Ints


@dataclass(frozen=True, eq=False, slots=True)
class LevelCall:
    """A level of the tree as a kernel for sequences of unequal length takes it."""

    queries: torch.Tensor | slice
    """Positions in the row."""
    keys: torch.Tensor | slice
    query_edges: torch.Tensor
    """(sequences + 1,) int32, where each sequence begins among the queries, and the end of the last."""
    key_edges: torch.Tensor
    longest_queries: int
    """Tokens of a sequence, at least 2: length 1 selects another FlashAttention path, without benefit."""
    longest_keys: int


@dataclass(frozen=True, eq=False, slots=True)
class DeviceLevels:
    """`levels.Levels`, ready for its calls."""

    own: LevelCall
    calls: list[LevelCall]
    partly: list[Span]


@dataclass(eq=False)
class Tree:
    """What the layers of one forward pass read."""

    pack: Pack
    ids: torch.Tensor
    depths: torch.Tensor
    ends: torch.Tensor
    plain: bool = False
    """Computed by functions of torch, whatever kernels there are."""
    layers: int = 0
    """How often attention over it was computed."""
    _masks: dict[tuple[object, Reach], torch.Tensor | None] = field(default_factory=dict)
    _keys: dict[Span, torch.Tensor] = field(default_factory=dict)
    _levels: dict[tuple[Reach, str], DeviceLevels] = field(default_factory=dict)

    @cached_property
    def blocks(self) -> list[Blocks]:
        """Stretches that hold every token once."""
        return [padded(bucket, str(self.ids.device)) for bucket in bucketed(self._parts[0])]

    @property
    def spans(self) -> list[Span]:
        """What connects them."""
        return self._parts[1]

    @cached_property
    def _parts(self) -> tuple[list[Stretch], list[Span]]:
        return cut(self.pack)

    @cached_property
    def deepest(self) -> int:
        """The largest depth."""
        return int(self.pack.depths.max())

    def levels(self, reach: Reach, device: str) -> DeviceLevels:
        """The same by levels, where a layer's tensors are."""
        if (reach, device) not in self._levels:
            self._levels[reach, device] = _ready_levels(self.pack, reach, device)
        return self._levels[reach, device]

    def block_mask(self, blocks: Blocks, reach: Reach, dtype: torch.dtype) -> torch.Tensor | None:
        """(blocks, 1, length, length) to be added to scores; None where a token sees all that precede it."""
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
        """(blocks, length, length) whether a block's token comes after, or is, another in some sequence."""
        places = blocks.positions.view(-1, blocks.length)
        order = torch.arange(blocks.length, device=places.device)
        return (order[:, None] >= order) & (places[:, :, None] < self.ends[places][:, None, :])

    def keys_of(self, span: Span) -> slice | torch.Tensor:
        """Positions of a span's keys, as an index."""
        if not span.before:
            return span.keys
        if span not in self._keys:
            places = [*span.before, *range(span.keys.start, span.keys.stop)]
            self._keys[span] = torch.tensor(places, device=self.ids.device)
        return self._keys[span]

    def span_mask(self, span: Span, reach: Reach, dtype: torch.dtype) -> torch.Tensor | None:
        """(1, 1, queries, keys) to be added to scores; None where every query sees every key."""
        depths = self.pack.depths
        if not reach.is_limited or reach.sees(int(depths[span.queries].max()), int(depths[span.first])):
            return None
        if (span, reach) not in self._masks:
            seen = reach.sees(self.depths[span.queries, None], self.depths[None, self.keys_of(span)])
            self._masks[span, reach] = _added(seen, dtype)[None, None]
        return self._masks[span, reach]


def tree_of(pack: Pack, device: str, *, plain: bool = False) -> Tree:
    """A pack, ready for its forward pass."""
    ids, depths, ends = arrays_to_device((pack.ids, pack.depths, pack.ends), device)
    return Tree(pack, ids, depths, ends, plain)


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
            _as_slice(level.queries, others[at]),
            _as_slice(level.keys, others[at + 1]),
            others[at + 2].int(),
            others[at + 3].int(),
            max(2, int(np.diff(level.query_edges).max())),
            int(np.diff(level.key_edges).max()),
        )
        for at, level in zip(range(0, len(others), 4), levels.levels, strict=True)
    ]
    return DeviceLevels(own, calls, [Span(*one) for one in levels.partly])


def _as_slice(positions: Ints, there: torch.Tensor) -> torch.Tensor | slice:
    """Ascending positions, without a gather where nothing lies between them."""
    first, count = int(positions[0]), len(positions)
    return slice(first, first + count) if int(positions[-1]) == first + count - 1 else there


def _added(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """0 where seen; elsewhere so low that nothing is left, and finite, as a query may see nothing of a
    part."""
    unseen = torch.finfo(dtype).min / 4
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, unseen)
