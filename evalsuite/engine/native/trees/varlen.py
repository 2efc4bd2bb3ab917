"""Attention over a packed tree by `torch.nn.attention.varlen`, a kernel for sequences of unequal length.

One call serves attention within nodes, and one call each level of the tree; results are merged by their
normalisers as in `tree_attention`. No mask is created. On real packs of MMLU and HellaSwag one level is left
(`benchmarks/gpu_attention.py`), since short nodes are repeated in front of their children.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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
"""Output (tokens, heads, value width), and logarithms of the normalisers (heads, tokens), float32."""


def fits(query: torch.Tensor, value: torch.Tensor, softcap: float | None) -> bool:
    """Whether the kernel supports these (..., width) queries and values."""
    return (
        query.device.type in DEVICES
        and query.dtype in KERNEL_DTYPES
        and softcap is None
        and max(query.shape[-1], value.shape[-1]) <= WIDEST
    )


def attend_by_level(
    tree: "Tree",
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    reach: Reach,
    *,
    in_float32: bool,
) -> PartialAttention:
    """Attention of the tree's row, without the pairs in `partly` of the tree's levels.

    Args:
        tree: the tree of the row; its path "levels" merges by torch's functions, others by a kernel.
        query: (tokens, heads, width).
        key: (tokens, key-value heads, width).
        value: (tokens, key-value heads, value width).
        scale: factor of the scores.
        reach: how far back a token attends; nodes are cut at the borders of chunks.
        in_float32: return float32. Otherwise the output has the queries' type if only one level is merged:
            then it is rounded once either way, and half as many bytes move.
    """
    width = value.shape[-1]
    common = -(-max(width, query.shape[-1]) // MULTIPLE) * MULTIPLE
    query, key, value = (_widened(part, common) for part in (query, key, value))
    if query.shape[1] != key.shape[1] and not takes("enable_gqa"):
        key, value = (part.repeat_interleave(query.shape[1] // key.shape[1], dim=1) for part in (key, value))
    levels = tree.levels(reach, str(query.device))
    left = -1 if reach.window is None else reach.window - 1
    own, merge = levels.own, _merging(tree.paths.attention)
    result, normaliser = _call(query, key[own.keys], value[own.keys], own, scale, left, 0)
    normaliser = normaliser.contiguous()
    if in_float32 or levels.partly or len(levels.calls) != 1:
        result = result.float()
    for call in levels.calls:
        part, log = _call(query[call.queries], key[call.keys], value[call.keys], call, scale, -1, -1)
        merge(result, normaliser, call.queries, part, log)
    return result[..., :width], normaliser


def takes(argument: str) -> bool:
    """Whether the installed torch's kernel takes an argument.

    Since torch 2.11 it takes `scale` and `window_size`; since 2.12 also `enable_gqa` and `block_table`.
    """
    from torch.nn.attention import varlen

    return argument in inspect.signature(varlen.varlen_attn).parameters


def _merging(attention: str) -> Callable[..., None]:
    """The function that merges levels, for a value of `Paths.attention`."""
    if attention == "levels":
        return merge_partials
    from evalsuite.engine.native.trees.kernels.merge import merge_in_place

    return merge_in_place


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
        result: (tokens, heads, value width) of any floating-point type.
        normaliser: (heads, tokens) float32.
        queries: index of the queries among the tokens.
        part: (queries, heads, value width) output of the further keys alone.
        log: (heads, queries) logarithms of their normalisers.
    """
    known, before = normaliser[:, queries], result[queries]
    share = torch.sigmoid(log - known).T[..., None]
    if isinstance(queries, slice) and before.dtype == torch.float32:
        before.lerp_(part.float(), share)
    else:
        result[queries] = before.float().lerp_(part.float(), share).to(result.dtype)
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

    grouped: dict[str, Any] = {"enable_gqa": True} if query.shape[1] != key.shape[1] else {}
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
        **grouped,
    )
    return result, log
