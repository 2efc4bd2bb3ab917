"""Attention over a packed tree in one call of torch's FlexAttention.

The mask is a function of two positions (`kv <= q < ends[kv]`, and a limit by depth for windows and chunks).
The tiles that have any pair, and those that need no mask, are found on the CPU (`tiles`) while the device
computes. The kernel is compiled by `torch.compile`, once for each size of a row: rows are padded to powers of
two within attention alone, where padding costs a copy. On a CPU, FlexAttention is not compiled and holds all
scores: that is for tests.
"""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import pad

from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.transfer import arrays_to_device
from evalsuite.engine.native.trees.tiles import TILE, padded_ends, tiles_of
from evalsuite.engine.planning.pack import Pack

if TYPE_CHECKING:
    from evalsuite.engine.native.trees.tree import Tree

SMALLEST_ROW = 1024
"""Tokens of the smallest padded row; longer ones have this times a power of two."""
NARROWEST = 16
"""Smallest width of a head in the kernel."""
COMPILED_SIZES = 256
"""Kernels that torch may compile; beyond dynamo's default of 8 it would refuse."""


@dataclass(frozen=True, eq=False, slots=True)
class DeviceTiles:
    """A pack's mask as FlexAttention's `BlockMask`, on a device."""

    size: int
    """Tokens of the padded row."""
    block_mask: Any


def device_tiles(pack: Pack, reach: Reach, device: str) -> DeviceTiles:
    """The mask of a pack for layers of the given reach; one transfer to the device."""
    from torch.nn.attention.flex_attention import BlockMask

    size = padded_size(len(pack))
    tiles = tiles_of(pack, reach, size)
    rows = size // TILE
    depths = np.pad(pack.depths, (0, size - len(pack)))
    arrays = [tile.sum(1) for tile in (tiles.partial, tiles.full)]
    # The columns of each row's tiles come first, ascending.
    arrays += [np.argsort(~tile, axis=1, kind="stable").reshape(-1) for tile in (tiles.partial, tiles.full)]
    arrays += [padded_ends(pack, size), depths, reach.first(depths)]
    partial, full, partial_at, full_at, ends, depth, first = (
        tensor.int() for tensor in arrays_to_device(arrays, device)
    )
    block_mask = BlockMask.from_kv_blocks(
        partial.view(1, 1, rows),
        partial_at.view(1, 1, rows, rows),
        full.view(1, 1, rows),
        full_at.view(1, 1, rows, rows),
        BLOCK_SIZE=TILE,
        mask_mod=_near(ends, depth, first) if reach.is_limited else _within(ends),
        seq_lengths=(size, size),
        compute_q_blocks=False,  # only gradients need these
    )
    return DeviceTiles(size, block_mask)


def padded_size(tokens: int) -> int:
    """The size to which a row of `tokens` tokens is padded for attention."""
    size = SMALLEST_ROW
    while size < tokens:
        size *= 2
    return size


def attend_by_tile(
    tree: "Tree",
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    softcap: float | None,
    reach: Reach,
    s_aux: torch.Tensor | None,
) -> torch.Tensor:
    """Attention of the tree's row.

    Args:
        tree: the tree of the row.
        query: (1, heads, tokens, width).
        key: (1, key-value heads, tokens, width).
        value: (1, key-value heads, tokens, value width).
        scale, softcap, s_aux: as in `attention.tree_attention`.
        reach: how far back a token attends.

    Returns:
        (1, tokens, heads, value width), of the queries' type.

    Raises:
        Exception: torch's compiler raises errors of every kind.
    """
    from torch.nn.attention.flex_attention import AuxRequest

    tiles = tree.tiles(reach)
    tokens, width = query.shape[2], value.shape[-1]
    query, key, value = (_padded(part, tiles.size) for part in (query, key, value))
    result, more = _flex_attention(query.device.type)(
        query,
        key,
        value,
        score_mod=None if softcap is None else _capped(softcap),
        block_mask=tiles.block_mask,
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
        return_aux=AuxRequest(lse=s_aux is not None),
    )
    output: torch.Tensor = result[:, :, :tokens, :width]
    if s_aux is not None:
        share = torch.sigmoid(more.lse[:, :, :tokens] - s_aux.float()[:, None])
        output = (output.float() * share[..., None]).to(output.dtype)
    return output.transpose(1, 2)


def _padded(part: torch.Tensor, size: int) -> torch.Tensor:
    """Pad (1, heads, tokens, width) with zeros to `size` tokens, and to the kernel's smallest width."""
    wider, longer = max(0, NARROWEST - part.shape[-1]), size - part.shape[2]
    return pad(part, (0, wider, 0, longer)) if wider or longer else part


@functools.cache
def _flex_attention(device: str) -> Any:
    """FlexAttention, compiled except on a CPU, where torch's compiled form gives no normalisers."""
    from torch.nn.attention.flex_attention import flex_attention

    if device == "cpu":
        return flex_attention
    dynamo: Any = torch._dynamo.config
    dynamo.recompile_limit = max(dynamo.recompile_limit, COMPILED_SIZES)
    return torch.compile(flex_attention, dynamic=False, fullgraph=True)


def _within(ends: torch.Tensor) -> Any:
    def sees(batch: Any, head: Any, query: Any, key: Any) -> Any:
        return (key <= query) & (query < ends[key])

    return sees


def _near(ends: torch.Tensor, depths: torch.Tensor, firsts: torch.Tensor) -> Any:
    """As `_within`; and the key is no less deep than the first depth to which the query attends."""

    def sees(batch: Any, head: Any, query: Any, key: Any) -> Any:
        return (key <= query) & (query < ends[key]) & (depths[key] >= firsts[query])

    return sees


@functools.cache
def _capped(softcap: float) -> Any:
    def score(score: Any, batch: Any, head: Any, query: Any, key: Any) -> Any:
        return softcap * torch.tanh(score / softcap)

    return score
