"""Attention over a packed tree by `torch.nn.attention.varlen`, a kernel for sequences of unequal length.

One call serves attention within nodes, and one call each level of the tree; results are merged by their
normalisers as in `tree_attention`. No mask is created, and each key is gathered only once.
"""

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

from evalsuite.engine.native.reach import Reach

if TYPE_CHECKING:
    from evalsuite.engine.native.trees.tree import LevelCall, Tree

DEVICES = ("cuda",)
KERNEL_DTYPES = (torch.bfloat16, torch.float16)
WIDEST = 256
"""Largest head width of the kernel (FlashAttention 2)."""
MULTIPLE = 8
"""The width of a head must be a multiple of this."""

PartialAttention = tuple[torch.Tensor, torch.Tensor]
"""Output (tokens, heads, value width), and logarithms of the normalisers (heads, tokens); both float32."""


def fits(query: torch.Tensor, value: torch.Tensor, softcap: float | None) -> bool:
    """Whether the kernel supports these (..., width) queries and values."""
    return (
        query.device.type in DEVICES
        and query.dtype in KERNEL_DTYPES
        and softcap is None
        and max(query.shape[-1], value.shape[-1]) <= WIDEST
    )


def attend_by_level(
    tree: "Tree", query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, reach: Reach
) -> PartialAttention:
    """Attention of the tree's row, without the pairs in `partly` of the tree's levels.

    Args:
        tree: the tree of the row.
        query: (tokens, heads, width).
        key: (tokens, key-value heads, width).
        value: (tokens, key-value heads, value width).
        scale: factor of the scores.
        reach: how far back a token attends in its own sequence; nodes are cut at the borders of chunks.
    """
    width = value.shape[-1]
    common = -(-max(width, query.shape[-1]) // MULTIPLE) * MULTIPLE
    query, key, value = (_widened(part, common) for part in (query, key, value))
    levels = tree.levels(reach, str(query.device))
    left = -1 if reach.window is None else reach.window - 1
    result, normaliser = _call(query, key, value, levels.own, scale, left, 0)
    result = result.float()
    for call in levels.calls:
        part, log = _call(query[call.queries], key[call.keys], value[call.keys], call, scale, -1, -1)
        merge_partials(result, normaliser, call.queries, part, log)
    return result[..., :width], normaliser


def _widened(part: torch.Tensor, width: int) -> torch.Tensor:
    """Pad heads to `width` with zeros, which change no score and add zeros to the output."""
    return part if part.shape[-1] == width else pad(part, (0, width - part.shape[-1]))


def merge_partials(
    result: torch.Tensor,
    normaliser: torch.Tensor,
    queries: torch.Tensor | slice,
    part: torch.Tensor,
    log: torch.Tensor,
) -> None:
    """Merge the attention of some queries to further keys into `result` and `normaliser`, in place.

    Args:
        result: (tokens, heads, value width) float32.
        normaliser: (heads, tokens) float32.
        queries: index of the queries among the tokens.
        part: (queries, heads, value width) output of the further keys alone.
        log: (heads, queries) logarithms of their normalisers.
    """
    known, before = normaliser[:, queries], result[queries]
    share = torch.sigmoid(log - known).T[..., None]
    if isinstance(queries, slice):
        before.lerp_(part.float(), share)
    else:
        result[queries] = before.lerp_(part.float(), share)
    normaliser[:, queries] = torch.logaddexp(known, log)


def _call(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    call: "LevelCall",
    scale: float,
    left: int,
    right: int,
) -> PartialAttention:
    """Call the kernel.

    Its normalisers are (heads, tokens); torch 2.13's docstring is wrong there, its fake implementation right.
    """
    from torch.nn.attention import varlen

    result, log = varlen.varlen_attn(
        query,
        key,
        value,
        call.query_edges,
        call.key_edges,
        call.longest_queries,
        call.longest_keys,
        return_aux=varlen.AuxRequest(lse=True),
        scale=scale,
        window_size=(left, right),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return result, log
