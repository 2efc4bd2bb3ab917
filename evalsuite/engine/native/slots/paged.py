"""Attention over slots by `torch.nn.attention.varlen` with paged keys: no scores are stored.

The kernel reads keys where they are: a slot's tokens, and the pool of prefixes, are pages that a block table
names. Two calls, one for own keys and one for prefixes, are merged by their normalisers. Layers with windows,
chunks, soft caps or sinks are computed by `attention`'s products.

torch (2.13, `_fa3.py`) reads a block table through FlashAttention 3 alone, which has to be installed
and activated in the process. **This has not been run on a GPU, and its speed has not been measured.**
"""

from typing import Any

import torch

from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.slots.cache import Pass, SlotLayer
from evalsuite.engine.native.slots.prefix_pool import PLACE_STEP, PooledRows
from evalsuite.engine.native.trees.varlen import (
    DEVICES,
    KERNEL_DTYPES,
    MULTIPLE,
    WIDEST,
    PartialAttention,
    merge_partials,
    takes,
)

PAGE = PLACE_STEP
"""Tokens of a page; capacities of slots are multiples of it."""


def pages_unsupported_reason(device: str, dtype: str) -> str:
    """Why a device cannot read paged keys of a data type (such as "bfloat16"); empty if it can."""
    if device.partition(":")[0] not in DEVICES:
        return "only for GPUs"
    if dtype not in {str(known).removeprefix("torch.") for known in KERNEL_DTYPES}:
        return f"it has no kernel for {dtype}"
    if not takes("block_table"):
        return "torch reads paged keys since version 2.12"
    from torch.nn import attention

    if attention.current_flash_attention_impl() != "FA3":
        return "torch reads paged keys through FlashAttention 3, which is not activated"
    return ""


def fits_pages(query: torch.Tensor, value: torch.Tensor, reach: Reach, softcap: Any, sinks: Any) -> bool:
    """Whether the kernel computes a layer with these (..., width) queries and values."""
    widths = {query.shape[-1], value.shape[-1]}
    return (
        query.device.type in DEVICES
        and query.dtype in KERNEL_DTYPES
        and len(widths) == 1
        and max(widths) <= WIDEST
        and max(widths) % MULTIPLE == 0
        and softcap is None
        and sinks is None
        and not reach.is_limited
    )


def attend_to_pages(
    now: Pass, layer: SlotLayer, layer_idx: int, query: torch.Tensor, scale: float
) -> torch.Tensor:
    """Attention of a pass's new tokens to their slots and prefixes.

    Args:
        now: the pass; its keys and values are written.
        layer: the layer of the cache.
        layer_idx: its index, for the prefixes.
        query: (rows, heads, new tokens, width).
        scale: factor of the scores.

    Returns:
        (rows, new tokens, heads, width) in the data type of `query`.
    """
    queries = query.transpose(1, 2).flatten(0, 1)  # (rows x new tokens, heads, width)
    result, log = _own(now, layer, queries, scale)
    result, log = result.float(), log.contiguous()
    if now.pooled:
        if now.pooled.read:
            part, part_log = _pooled(now.pooled, layer_idx, queries, now.length, scale)
            merge_partials(result, log, slice(None), part, part_log)
    else:
        _merge_prefixes(now, layer_idx, queries, scale, result, log)
    return result.to(query.dtype).view(-1, now.length, *result.shape[1:])


def _own(now: Pass, layer: SlotLayer, queries: torch.Tensor, scale: float) -> PartialAttention:
    """Attention to the tokens of each row's slot, up to the query itself."""
    assert layer.keys is not None
    assert layer.values is not None
    keys, values = _pages(layer.keys), _pages(layer.values)
    heads, capacity = layer.keys.shape[1:3]
    slots = torch.arange(now.rows.start, now.rows.stop, dtype=torch.int32, device=queries.device)
    # The pages of one head of a slot are followed by those of its other heads.
    blocks = torch.arange(-(-(now.start + now.length) // PAGE), dtype=torch.int32, device=queries.device)
    table = slots[:, None] * (heads * capacity // PAGE) + blocks
    used = (now.starts + now.length).int()
    return _call(queries, keys, values, table, used, now.length, scale, causal=True)


def _pooled(
    pooled: PooledRows, layer_idx: int, queries: torch.Tensor, length: int, scale: float
) -> PartialAttention:
    """Attention to each row's prefix in the pool; of rows without a prefix 0, with a normaliser of 0."""
    keys, values = (_pages(part[None]) for part in pooled.pool.parts[layer_idx])
    blocks = torch.arange(pooled.read // PAGE, device=queries.device)
    table = (pooled.starts[:, None] // PAGE + blocks).clamp(max=len(keys) - 1).int()
    part, log = _call(queries, keys, values, table, pooled.lengths.int(), length, scale, causal=False)
    # What the kernel returns for an empty sequence depends on its version.
    empty = (pooled.lengths == 0).repeat_interleave(length, output_size=len(queries))
    return part.masked_fill(empty[:, None, None], 0), log.masked_fill(empty, float("-inf"))


def _merge_prefixes(
    now: Pass, layer_idx: int, queries: torch.Tensor, scale: float, result: torch.Tensor, log: torch.Tensor
) -> None:
    """Merge the attention to prefixes outside the pool: all queries of a prefix are one sequence."""
    for prefix, rows in now.prefixes:
        if not prefix.length:
            continue
        layer = prefix.layers[layer_idx]
        assert layer.keys is not None
        assert layer.values is not None
        new = torch.arange(now.length, device=queries.device)
        index = slice(None) if rows is None else (rows[:, None] * now.length + new).flatten()
        chosen = queries[index]
        keys, values = (part[0].transpose(0, 1) for part in (layer.keys, layer.values))
        part, part_log = _call_unpaged(chosen, keys, values, scale)
        merge_partials(result, log, index, part, part_log)


def _pages(part: torch.Tensor) -> torch.Tensor:
    """A view (pages, PAGE, heads, width) of keys or values (slots, heads, capacity, width).

    Page `slot * heads * capacity / PAGE + i` has the slot's tokens from i * PAGE on, for i below
    capacity / PAGE; no other page is named.
    """
    slots, heads, capacity, width = part.shape
    pages = (slots - 1) * heads * capacity // PAGE + capacity // PAGE
    return part.as_strided((pages, PAGE, heads, width), (PAGE * width, width, capacity * width, 1))


def _edges(count: int, length: int, device: torch.device) -> torch.Tensor:
    """Where `count` sequences of one length begin, and where the last one ends."""
    return torch.arange(count + 1, dtype=torch.int32, device=device) * length


def _call(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    table: torch.Tensor,
    used: torch.Tensor,
    length: int,
    scale: float,
    *,
    causal: bool,
) -> PartialAttention:
    from torch.nn.attention import varlen

    result, log = varlen.varlen_attn(
        queries,
        keys,
        values,
        _edges(len(table), length, queries.device),
        None,
        length,
        table.shape[1] * PAGE,
        return_aux=varlen.AuxRequest(lse=True),
        scale=scale,
        window_size=(-1, 0) if causal else (-1, -1),
        enable_gqa=queries.shape[1] != keys.shape[2],
        seqused_k=used,
        block_table=table,
    )
    return result, log


def _call_unpaged(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float
) -> PartialAttention:
    from torch.nn.attention import varlen

    result, log = varlen.varlen_attn(
        queries,
        keys,
        values,
        _edges(1, len(queries), queries.device),
        _edges(1, len(keys), queries.device),
        len(queries),
        len(keys),
        return_aux=varlen.AuxRequest(lse=True),
        scale=scale,
        window_size=(-1, -1),
        enable_gqa=queries.shape[1] != keys.shape[1],
    )
    return result, log
