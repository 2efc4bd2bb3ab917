"""Attention over a packed tree, as an implementation of transformers' attention interface.

What a token attends to falls apart into its own stretch of the row and the stretches above it. Each part is
one ordinary attention that also gives the logarithm of its normaliser, by which parts are merged: with a and
b for these, softmax over the union gives (exp(a) x + exp(b) y) / (exp(a) + exp(b)). So no key is copied for a
branch, and no mask has the size of the row squared.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import AttentionInterface

from evalsuite.engine.native.probe.attention_options import attention_named, refuse_unknown
from evalsuite.engine.native.reach import Reach, reach_of
from evalsuite.engine.native.trees.blocks import Blocks
from evalsuite.engine.native.trees.tree import Tree
from evalsuite.engine.native.trees.varlen import PartialAttention, attend_by_level, merge
from evalsuite.engine.native.trees.varlen import fits as fits_levels

NAME = "evalsuite_tree"
"""Under which transformers knows this implementation."""
SCORES_AT_ONCE = 1 << 25
"""Scores (heads x queries x keys) that are held in memory where they cannot be fused."""

_current = threading.local()


@contextlib.contextmanager
def attending(model: Any, tree: Tree) -> Iterator[None]:
    """Within this context the attention layers of a transformers `model` see `tree` in their row."""
    _current.tree = tree
    try:
        with attention_named(model, NAME):
            yield
    finally:
        _current.tree = None


def current_tree() -> Tree:
    """The tree of the forward pass that this thread is in; for other layers that mix tokens, too."""
    return _current.tree


def tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of the current tree's row.

    Args:
        module: the layer; its configuration tells its chunks, if it has any.
        query: (1, heads, tokens, width).
        key: (1, key-value heads, tokens, width).
        value: (1, key-value heads, tokens, width of values).
        attention_mask: None, as the tree says who sees whom.
        scaling: of the scores; 1 / sqrt(width) if None.
        sliding_window: how many tokens of its own sequence a token sees, itself included.
        softcap: scores are squeezed into (-softcap, softcap) by a tanh.
        s_aux: (heads,) a score that takes part in the softmax and has no value (GPT-OSS).
        options: of other implementations; only those that change nothing.

    Returns:
        (1, tokens, heads, width of values), and no weights.

    Raises:
        UnknownOptionError: a mask or an option that it does not know.
    """
    refuse_unknown(attention_mask, options)
    tree = current_tree()
    tree.layers += 1
    reach = reach_of(module, sliding_window)
    heads, width = query.shape[1], query.shape[-1]
    scale = width**-0.5 if scaling is None else scaling
    queries = query[0]
    if not tree.plain and fits_levels(query, value, softcap):
        q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))
        result, normaliser = attend_by_level(tree, q, k, v, scale, reach)
        spans = tree.levels(reach, str(query.device)).partly
        keys, values = (_spread(part[0], heads) if spans else part[0] for part in (key, value))
    else:
        keys, values = _spread(key[0], heads), _spread(value[0], heads)
        result, normaliser = _attend_by_block(tree, queries, keys, values, scale, softcap, reach)
        spans = tree.spans
    merged = result.transpose(0, 1)
    for span in spans:
        mask = tree.span_mask(span, reach, query.dtype)
        seen = tree.keys_of(span)
        q, k, v = queries[None, :, span.queries], keys[None, :, seen], values[None, :, seen]
        (part,), (log,) = _attend(q, k, v, scale, softcap, mask)
        merge(result, normaliser, span.queries, part.transpose(0, 1), log)
    if s_aux is not None:
        merged *= torch.sigmoid(normaliser - s_aux.float()[:, None])[..., None]
    return result[None].to(query.dtype), None


AttentionInterface.register(NAME, tree_attention)


def _attend_by_block(
    tree: Tree,
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scale: float,
    softcap: float | None,
    reach: Reach,
) -> PartialAttention:
    """What the tokens of (heads, tokens, width) see of their own blocks."""
    heads, tokens, _ = queries.shape
    result = torch.empty(tokens, heads, values.shape[-1], dtype=torch.float32, device=queries.device)
    normaliser = torch.empty(heads, tokens, device=queries.device)
    for blocks in tree.blocks:
        mask = tree.block_mask(blocks, reach, queries.dtype)
        q, k, v = (_gathered(part, blocks) for part in (queries, keys, values))
        parts, logs = _attend(q, k, v, scale, softcap, mask, causal=mask is None)
        found = parts.transpose(1, 2).flatten(0, 1).index_select(0, blocks.real)
        result.index_copy_(0, blocks.kept, found.float())
        normaliser[:, blocks.kept] = logs.transpose(0, 1).flatten(1)[:, blocks.real]
    return result, normaliser


def _spread(heads_of_keys: torch.Tensor, heads: int) -> torch.Tensor:
    """Key-value heads, each repeated for the query heads that share it."""
    return heads_of_keys.repeat_interleave(heads // len(heads_of_keys), dim=0)


def _gathered(part: torch.Tensor, blocks: Blocks) -> torch.Tensor:
    """(heads, tokens, width) to (blocks, heads, length, width); whole rows of the memory at a time."""
    heads, _, width = part.shape
    if part.is_contiguous():
        kept = part.index_select(1, blocks.positions)
        return kept.view(heads, -1, blocks.length, width).transpose(0, 1)
    kept = part.transpose(0, 1).index_select(0, blocks.positions)
    return kept.view(-1, blocks.length, heads, width).transpose(1, 2)


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    softcap: float | None,
    mask: torch.Tensor | None,
    causal: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention, and the float32 logarithm of each query's normaliser (batch, heads, queries)."""
    if softcap is not None or query.device.type != "cpu":
        return _attend_in_steps(query, key, value, scale, softcap, mask, causal)
    width = value.shape[-1]
    common = max(width, query.shape[-1])
    query, key, value = (
        part if part.shape[-1] == common else pad(part, (0, common - part.shape[-1]))  # which copies
        for part in (query, key, value)
    )
    result, logs = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, causal, attn_mask=mask, scale=scale
    )
    return result[..., :width], logs


def _attend_in_steps(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    softcap: float | None,
    mask: torch.Tensor | None,
    causal: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same from plain operations, some queries at a time."""
    batch, heads, count, _ = query.shape
    step = max(1, SCORES_AT_ONCE // (batch * heads * key.shape[2]))
    results, logs = [], []
    for start in range(0, count, step):
        scores = (query[:, :, start : start + step].float() @ key.float().transpose(-1, -2)) * scale
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        if mask is not None:
            scores = scores + mask[..., start : start + step, :].float()
        if causal:
            unseen = torch.ones_like(scores, dtype=torch.bool).triu(start + 1)
            scores = scores.masked_fill(unseen, -torch.inf)
        results.append((scores.softmax(-1) @ value.float()).to(query.dtype))
        logs.append(scores.logsumexp(-1))
    return torch.cat(results, 2), torch.cat(logs, 2)
