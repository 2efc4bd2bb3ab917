"""Attention over a packed tree, as an implementation of transformers' attention interface.

The keys of a token are split into those of its own stretch of the row and those of each stretch above it.
Each part is an ordinary attention that also returns the logarithm of its normaliser (log-sum-exp). Parts are
merged by these: with normalisers a and b of the outputs x and y, attention over the union of the keys is
(exp(a) x + exp(b) y) / (exp(a) + exp(b)). So no key is copied for a branch, and no mask is as large as the
row squared.
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
from evalsuite.engine.native.trees.flex import attend_by_tile
from evalsuite.engine.native.trees.tree import Tree
from evalsuite.engine.native.trees.varlen import PartialAttention, attend_by_level, merge_partials
from evalsuite.engine.native.trees.varlen import fits as fits_levels

NAME = "evalsuite_tree"
"""The name of this implementation in transformers."""
SCORES_AT_ONCE = 1 << 25
"""Attention scores (heads x queries x keys) held in memory at a time if no fused kernel is used."""

_current = threading.local()


@contextlib.contextmanager
def attending(model: Any, tree: Tree) -> Iterator[None]:
    """Within this context the attention layers of a transformers `model` compute attention over `tree`."""
    _current.tree = tree
    try:
        with attention_named(model, NAME):
            yield
    finally:
        _current.tree = None


def current_tree() -> Tree:
    """The tree of this thread's current forward pass; other layers that mix tokens use it, too."""
    tree: Tree = _current.tree
    return tree


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
    """Attention over the current tree's row.

    Args:
        module: the layer; its configuration states its chunks, if it has any.
        query: (1, heads, tokens, width).
        key: (1, key-value heads, tokens, width).
        value: (1, key-value heads, tokens, value width).
        attention_mask: must be None: the tree decides which tokens attend to which.
        scaling: factor of the scores; 1 / sqrt(width) if None.
        sliding_window: to how many tokens of its own sequence a token attends, itself included.
        softcap: scores are squashed into (-softcap, softcap) by a tanh.
        s_aux: (heads,) scores of attention sinks, which take part in the softmax without a value (GPT-OSS).
        options: options of other implementations that have no effect.

    Returns:
        (1, tokens, heads, value width), and no weights.

    Raises:
        UnknownOptionError: there is a mask or an unknown option.
    """
    refuse_unknown(attention_mask, options)
    current_tree().layers += 1
    tree = current_tree().on(str(query.device))
    reach = reach_of(module, sliding_window)
    heads, width = query.shape[1], query.shape[-1]
    scale = width**-0.5 if scaling is None else scaling
    queries, path = query[0], tree.paths.attention
    by_level = fits_levels(query, value, softcap)
    if path == "flex" or (path == "levels-flex" and (reach.is_limited or not by_level)):
        tree.ran.add(("attention", path))
        return attend_by_tile(tree, query, key, value, scale, softcap, reach, s_aux), None
    # `result` is (tokens, heads, value width), `normaliser` is (heads, tokens) float32.
    if path in ("levels", "levels-flex") and by_level:
        tree.ran.add(("attention", path))
        q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))  # (tokens, heads, width)
        result, normaliser = attend_by_level(tree, q, k, v, scale, reach, in_float32=s_aux is not None)
        spans = tree.levels(reach, str(query.device)).partly
        keys, values = (_spread(part[0], heads) if spans else part[0] for part in (key, value))
    else:
        tree.ran.add(("attention", "torch"))
        if query.device.type == "cpu" and query.dtype.itemsize < 4 and not tree.rounds_as_model:
            # torch's kernel is no faster in half precision there, and rounds the weights of values.
            queries, key, value = queries.float(), key.float(), value.float()
        keys, values = _spread(key[0], heads), _spread(value[0], heads)
        result, normaliser = _attend_by_block(tree, queries, keys, values, scale, softcap, reach)
        spans = tree.spans
    merged = result.transpose(0, 1)
    for span in spans:
        mask = tree.span_mask(span, reach, queries.dtype)
        index = tree.keys_of(span)
        q, k, v = queries[None, :, span.queries], keys[None, :, index], values[None, :, index]
        (part,), (log,) = _attend(q, k, v, scale, softcap, mask)  # (heads, queries, width), (heads, queries)
        merge_partials(result, normaliser, span.queries, part.transpose(0, 1), log)
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
    """Attention of each token to the keys of its own block.

    Args:
        tree: the tree of the row.
        queries, keys, values: (heads, tokens, width) each.
        scale, softcap: as in `tree_attention`.
        reach: how far back a token attends.
    """
    heads, tokens, _ = queries.shape
    result = torch.empty(tokens, heads, values.shape[-1], dtype=torch.float32, device=queries.device)
    normaliser = torch.empty(heads, tokens, device=queries.device)
    for blocks in tree.blocks:
        mask = tree.block_mask(blocks, reach, queries.dtype)
        q, k, v = (_gathered(part, blocks) for part in (queries, keys, values))
        # `parts` is (blocks, heads, length, width), `logs` is (blocks, heads, length).
        parts, logs = _attend(q, k, v, scale, softcap, mask, causal=mask is None)
        real = parts.transpose(1, 2).flatten(0, 1).index_select(0, blocks.real)
        result.index_copy_(0, blocks.kept, real.float())
        normaliser[:, blocks.kept] = logs.transpose(0, 1).flatten(1)[:, blocks.real]
    return result, normaliser


def _spread(heads_of_keys: torch.Tensor, heads: int) -> torch.Tensor:
    """Repeat each key-value head for the query heads that share it: (heads, tokens, width)."""
    return heads_of_keys.repeat_interleave(heads // len(heads_of_keys), dim=0)


def _gathered(part: torch.Tensor, blocks: Blocks) -> torch.Tensor:
    """(heads, tokens, width) to (blocks, heads, length, width), copied in contiguous rows of memory."""
    heads, _, width = part.shape
    if part.is_contiguous():
        copied = part.index_select(1, blocks.positions)
        return copied.view(heads, -1, blocks.length, width).transpose(0, 1)
    copied = part.transpose(0, 1).index_select(0, blocks.positions)
    return copied.view(-1, blocks.length, heads, width).transpose(1, 2)


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    softcap: float | None,
    mask: torch.Tensor | None,
    causal: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention, and the logarithm of each query's normaliser.

    Args:
        query: (batch, heads, queries, width).
        key: (batch, heads, keys, width).
        value: (batch, heads, keys, value width).
        scale, softcap: as in `tree_attention`.
        mask: (batch or 1, 1, queries, keys), added to the scores, or None.
        causal: query i attends to the keys 0 to i.

    Returns:
        (batch, heads, queries, value width), and (batch, heads, queries) float32.
    """
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
    """`_attend` by plain operations, a few queries at a time."""
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
            later = torch.ones_like(scores, dtype=torch.bool).triu(start + 1)
            scores = scores.masked_fill(later, -torch.inf)
        results.append((scores.softmax(-1) @ value.float()).to(query.dtype))
        logs.append(scores.logsumexp(-1))
    return torch.cat(results, 2), torch.cat(logs, 2)
