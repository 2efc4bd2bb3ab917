"""Attention over slots: each row's own keys, and its prefix's keys, read once for all rows that share it.

No prefix is copied into a slot.
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from evalsuite.engine.native.probe.attention_options import refuse_unknown
from evalsuite.engine.native.reach import Reach, reach_of
from evalsuite.engine.native.slots.cache import Pass, Prefix, SlotCache
from evalsuite.engine.native.slots.paged import attend_to_pages, fits_pages
from evalsuite.engine.native.slots.prefix_pool import PooledRows
from evalsuite.errors import ModelError

NAME = "evalsuite_slots"
"""The name of `attend` in transformers, which creates no masks if no mask function has that name."""

LARGEST_SCORES = {"cpu": 2**21}
"""Attention scores (rows x heads x queries x keys) computed at a time: as many as stay in a CPU's caches."""
LARGEST_SCORES_ELSEWHERE = 2**26
"""256 MiB in float32."""


_current = threading.local()


@contextlib.contextmanager
def slot_attention(model: Any, cache: SlotCache) -> Iterator[None]:
    """Within this context the model's attention is `attend` over the cache."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)
    original = model.config._attn_implementation
    model.config._attn_implementation = NAME
    _current.cache = cache
    try:
        yield
    finally:
        model.config._attn_implementation = original
        _current.cache = None


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface over the current pass of the `SlotCache` that got `key`.

    Args:
        module: the layer; its configuration states its chunks, if it has any.
        query: (rows, heads, new tokens, width); heads may be a multiple of the keys' heads.
        key: (rows, key heads, new tokens, width).
        value: (rows, key heads, new tokens, value width).
        attention_mask: must be None.
        scaling: factor of the scores; width ** -0.5 if None.
        sliding_window: tokens to which a token attends, itself included.
        softcap: scores are squashed to (-softcap, softcap).
        s_aux: (heads,) scores of attention sinks, which take part in the softmax without a value (GPT-OSS).
        options: options without effect.

    Returns:
        (rows, new tokens, heads, value width), None.

    Raises:
        UnknownOptionError: there is a mask or an unknown option.
    """
    refuse_unknown(attention_mask, options)
    cache, layer_idx = _cache_and_layer(module, key, value)
    layer, reach = cache.layers[layer_idx], reach_of(module, sliding_window)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if cache.attention == "paged" and fits_pages(query, value, reach, softcap, s_aux):
        return attend_to_pages(cache.current, layer, layer_idx, query, scale), None
    grouped = query.unflatten(1, (key.shape[1], -1))  # (rows, key heads, group, new tokens, width)
    sinks = None if s_aux is None else s_aux.float().view(1, *grouped.shape[1:3], 1, 1)
    rule = _Rule(scale, reach, softcap, sinks)
    now = cache.current
    shared = now.pooled.read if now.pooled else max(prefix.length for prefix, _ in now.prefixes)
    seen = now.start + now.length + shared
    largest = LARGEST_SCORES.get(query.device.type, LARGEST_SCORES_ELSEWHERE)
    step = max(1, largest // (seen * query.shape[0] * query.shape[1]))
    parts = [
        _attend_queries(cache, layer_idx, grouped[..., first : first + step, :], first, rule)
        for first in range(0, query.shape[2], step)
    ]
    output = parts[0] if len(parts) == 1 else torch.cat(parts, dim=3)
    return output.flatten(1, 2).transpose(1, 2).to(query.dtype).contiguous(), None


def _cache_and_layer(module: Any, key: torch.Tensor, value: torch.Tensor) -> tuple[SlotCache, int]:
    """The cache and the layer index of `key`.

    An expanded layer computes its keys and values after it updated its cache, so that they are written here.
    """
    written: tuple[SlotCache, int] | None = getattr(key, "in_slots", None)
    if written:
        return written
    cache: SlotCache = _current.cache
    layer_idx: int = getattr(module, "layer_idx", -1)
    if layer_idx not in cache.expanded:
        raise ModelError("its keys are changed after its cache")
    cache.write(key, value, layer_idx)
    return cache, layer_idx


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a layer computes and limits its attention scores."""

    scaling: float
    reach: Reach
    softcap: float | None
    sinks: torch.Tensor | None
    """(1, key heads, group, 1, 1)"""

    def scores(self, query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """float32 scores (batch, queries, keys) of (batch, queries, width) and (batch, keys, width)."""
        scores = _product(query, keys.transpose(1, 2)).mul_(self.scaling)
        return scores if self.softcap is None else scores.div_(self.softcap).tanh_().mul_(self.softcap)


def _attend_queries(
    cache: SlotCache, layer_idx: int, query: torch.Tensor, first: int, rule: _Rule
) -> torch.Tensor:
    """float32 output (rows, key heads, group, queries, value width) for queries from index `first` on.

    A single softmax over the row's own keys and then the keys of each prefix; those of other rows' prefixes
    have scores of minus infinity.

    Args:
        cache: the cache.
        layer_idx: index of the layer.
        query: (rows, key heads, group, queries, width).
        first: index of the first of these queries among the pass's new tokens.
        rule: how scores are computed.
    """
    now, layer = cache.current.on(query.device), cache.layers[layer_idx]
    assert layer.keys is not None
    assert layer.values is not None
    end = now.start + first + query.shape[3]
    keys, values = (part[now.rows, :, :end].flatten(0, 1) for part in (layer.keys, layer.values))
    # `keys` and `values` are (rows x key heads, end, width), `own` is (rows, key heads, group, queries, end).
    own = rule.scores(query.flatten(2, 3).flatten(0, 1), keys).view(*query.shape[:4], end)
    parts = [own.masked_fill_(_own_hidden(now, first, query.shape[3], end, rule.reach), float("-inf"))]
    shared = _shared_keys(now, layer_idx, first, query.shape[3], rule.reach)
    for part in shared:
        scores = _shared_scores(part, query if part.rows is None else query[part.rows], rule)
        if part.rows is not None:
            hidden = own.new_full((*own.shape[:4], scores.shape[4]), float("-inf"))
            scores = hidden.index_copy_(0, part.rows, scores)
        parts.append(scores)
    if rule.sinks is not None:
        parts.append(rule.sinks.expand(*own.shape[:4], 1))
    weights = torch.cat(parts, dim=-1).softmax(dim=-1).split([part.shape[-1] for part in parts], dim=-1)
    output = _product(weights[0].flatten(2, 3).flatten(0, 1), values).view(*query.shape[:4], -1)
    for part, share in zip(shared, weights[1:], strict=False):
        if part.rows is None:
            output += _shared_output(part, share)
        else:
            output.index_add_(0, part.rows, _shared_output(part, share[part.rows]))
    return output


@dataclass(frozen=True, slots=True)
class _SharedKeys:
    """Keys that several rows read together: those of one prefix, or of the prefixes in the pool."""

    keys: torch.Tensor
    """(key heads, kept, width)"""
    values: torch.Tensor
    """(key heads, kept, value width)"""
    rows: torch.Tensor | None
    """The rows that read them; None for all rows."""
    hidden: torch.Tensor | None
    """Which of them a query must not attend to: (1, rows, 1, queries, kept) bool; None for none."""


def _shared_keys(now: Pass, layer_idx: int, first: int, length: int, reach: Reach) -> list[_SharedKeys]:
    """The prefixes' keys and values in a layer, for `length` queries from index `first` on."""
    if now.pooled:
        if not now.pooled.read:
            return []
        keys, values = (part[:, : now.pooled.read] for part in now.pooled.pool.parts[layer_idx])
        return [_SharedKeys(keys, values, None, _pool_hidden(now, now.pooled, first, length, reach))]
    shared = []
    for prefix, rows in now.prefixes:
        if prefix.length:
            layer = prefix.layers[layer_idx]
            assert layer.keys is not None
            assert layer.values is not None
            kept = layer.keys.shape[2]
            limited = reach.is_limited
            hidden = _prefix_hidden(now, prefix, rows, first, length, kept, reach) if limited else None
            shared.append(_SharedKeys(layer.keys[0], layer.values[0], rows, hidden))
    return shared


def _own_hidden(now: Pass, first: int, length: int, end: int, reach: Reach) -> torch.Tensor:
    """Which of a slot's own keys a query must not attend to: (rows, 1, 1, queries, keys) bool."""
    name = ("own", first, length, reach)
    if name not in now.masks:
        new = torch.arange(first, first + length, device=now.starts.device)
        queries = (now.starts[:, None] + new)[:, :, None]  # (rows, queries, 1) positions within the slot
        keys = torch.arange(end, device=now.starts.device)
        hidden = keys > queries
        if reach.is_limited:
            before = _prefix_lengths(now)[:, None, None]
            hidden |= ~reach.sees(before + queries, before + keys)
        now.masks[name] = hidden[:, None, None]
    return now.masks[name]


def _prefix_lengths(now: Pass) -> torch.Tensor:
    """(rows,) tokens of each row's prefix."""
    if now.pooled:
        return now.pooled.lengths
    lengths = torch.zeros_like(now.starts)
    for prefix, rows in now.prefixes:
        if rows is None:
            lengths.fill_(prefix.length)
        else:
            lengths.index_fill_(0, rows, prefix.length)
    return lengths


def _shared_scores(shared: _SharedKeys, query: torch.Tensor, rule: _Rule) -> torch.Tensor:
    """Scores (rows, key heads, group, queries, kept), in one product of all rows with the shared keys."""
    heads_first = query.transpose(0, 1)  # (key heads, rows, group, queries, width)
    scores = rule.scores(heads_first.flatten(1, 3), shared.keys).view(*heads_first.shape[:4], -1)
    if shared.hidden is not None:
        scores.masked_fill_(shared.hidden, float("-inf"))
    return scores.transpose(0, 1)


def _shared_output(shared: _SharedKeys, weights: torch.Tensor) -> torch.Tensor:
    """(rows, key heads, group, queries, value width) of weights (rows, key heads, group, queries, kept)."""
    heads_first = weights.transpose(0, 1)  # (key heads, rows, group, queries, kept)
    output = _product(heads_first.flatten(1, 3), shared.values)
    return output.view(*heads_first.shape[:4], -1).transpose(0, 1)


def _pool_hidden(now: Pass, pooled: PooledRows, first: int, length: int, reach: Reach) -> torch.Tensor:
    """Which keys of the pool are of another prefix, or beyond a query's reach: as `_SharedKeys.hidden`."""
    name = ("pool", first, length, reach)
    if name not in now.masks:
        tokens = torch.arange(pooled.read, device=now.starts.device)
        positions = (tokens - pooled.starts[:, None])[:, None]  # (rows, 1, kept), of the row's own prefix
        hidden = (positions < 0) | (positions >= pooled.lengths[:, None, None])
        if reach.is_limited:
            new = torch.arange(first, first + length, device=now.starts.device)
            queries = (pooled.lengths + now.starts)[:, None] + new  # (rows, queries) positions
            hidden = hidden | ~reach.sees(queries[:, :, None], positions)
        now.masks[name] = hidden[None, :, None]
    return now.masks[name]


def _prefix_hidden(
    now: Pass, prefix: Prefix, rows: torch.Tensor | None, first: int, length: int, kept: int, reach: Reach
) -> torch.Tensor:
    """Which of a prefix's kept keys are beyond a query's reach: (1, rows, 1, queries, kept) bool."""
    name = ("prefix", id(prefix), first, length, kept, reach)
    if name not in now.masks:
        starts = now.starts if rows is None else now.starts[rows]
        new = torch.arange(first, first + length, device=starts.device)
        queries = prefix.length + starts[:, None] + new  # (rows, queries) positions
        keys = torch.arange(prefix.length - kept, prefix.length, device=starts.device)
        now.masks[name] = ~reach.sees(queries[:, :, None], keys)[None, :, None]
    return now.masks[name]


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Batched matrix product with keys or values, in their data type, accumulated and returned in float32.

    Args:
        left: (batch, n, k).
        right: (batch, k, m) keys or values.
    """
    left = left.to(right.dtype)
    if left.dtype == torch.float32:
        return torch.bmm(left, right)
    if left.is_cuda:
        return torch.bmm(left, right, out_dtype=torch.float32)
    return torch.bmm(left.float(), right.float())
