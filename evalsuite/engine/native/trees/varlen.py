"""Attention over a packed tree by torch's kernel for sequences of unequal length
(`torch.nn.attention.varlen`).

One call for the nodes by themselves and one for each level of the tree, merged by their normalisers as in
`tree_attention`. No mask is made; a key is gathered once in all.
"""

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

from evalsuite.engine.native.reach import Reach

if TYPE_CHECKING:
    from evalsuite.engine.native.trees.tree import LevelCall, Tree

DEVICES = ("cuda",)
DTYPES = (torch.bfloat16, torch.float16)
WIDEST = 256
"""Width of a head that the kernel takes (FlashAttention 2)."""
MULTIPLE = 8
"""Of which the width of a head has to be one."""

PartialAttention = tuple[torch.Tensor, torch.Tensor]
"""(tokens, heads, width of values) float32, and the logarithm of each one's normaliser, (heads, tokens)
float32."""


def fits(query: torch.Tensor, value: torch.Tensor, softcap: float | None) -> bool:
    """Whether the kernel computes attention with these (…, width) queries and values."""
    return (
        query.device.type in DEVICES
        and query.dtype in DTYPES
        and softcap is None
        and max(query.shape[-1], value.shape[-1]) <= WIDEST
    )


def attend_by_level(
    tree: "Tree", query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, reach: Reach
) -> PartialAttention:
    """Attention of the tree's row, without what `partly` of the tree's levels names.

    Args:
        tree: of the row.
        query: (tokens, heads, width).
        key: (tokens, key-value heads, width).
        value: (tokens, key-value heads, width of values).
        scale: of the scores.
        reach: how far back a token of its own sequence is seen; within nodes the levels are cut at chunks'
            borders.
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
        merge(result, normaliser, call.queries, part, log)
    return result[..., :width], normaliser


def _widened(part: torch.Tensor, width: int) -> torch.Tensor:
    """Zeros change no score, and give values of zero."""
    return part if part.shape[-1] == width else pad(part, (0, width - part.shape[-1]))


def merge(
    result: torch.Tensor,
    normaliser: torch.Tensor,
    queries: torch.Tensor | slice,
    part: torch.Tensor,
    log: torch.Tensor,
) -> None:
    """Let some tokens attend to more keys, in place: `part` and `log` are what these keys alone give them."""
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
    """The kernel; its normalisers are (heads, tokens), whatever torch 2.13's docstring says (its own fake is
    right)."""
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
