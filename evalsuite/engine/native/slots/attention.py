"""Attention of slots: a row's own keys, and those of its shared prefix read once for all of its rows.

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
from evalsuite.errors import ModelError

NAME = "evalsuite_slots"
"""Under which transformers finds `attend`; without a mask function of that name it builds no masks."""

LARGEST_SCORES = {"cpu": 2**21}
"""Attention scores (rows x heads x queries x keys) worked on at a time: what stays in a CPU's caches."""
LARGEST_SCORES_ELSEWHERE = 2**26
"""256 MiB in float32."""


_current = threading.local()


@contextlib.contextmanager
def slot_attention(model: Any, cache: SlotCache) -> Iterator[None]:
    """Within this context the model's attention is `attend` over the cache."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)
    before = model.config._attn_implementation
    model.config._attn_implementation = NAME
    _current.cache = cache
    try:
        yield
    finally:
        model.config._attn_implementation = before
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
    """transformers' attention interface over the current pass of the `SlotCache` that has seen `key`.

    Args:
        module: the layer; its configuration tells its chunks, if it has any.
        query: (rows, heads, new tokens, width); heads may be a multiple of the keys' heads.
        sliding_window: tokens that a token sees, itself included.
        softcap: scores are squashed to (-softcap, softcap).
        s_aux: (heads,) scores of sinks, which take their share and give nothing (GPT-OSS).
        options: only those that change nothing.

    Returns:
        (rows, new tokens, heads, width), None.

    Raises:
        UnknownOptionError: a mask or an option that it does not know.
    """
    refuse_unknown(attention_mask, options)
    cache, layer_idx = _place_of(module, key, value)
    grouped = query.unflatten(1, (key.shape[1], -1))
    sinks = None if s_aux is None else s_aux.float().view(1, *grouped.shape[1:3], 1, 1)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    rule = _Rule(scale, reach_of(module, sliding_window), softcap, sinks)
    seen = cache.current.start + cache.current.length + max(p.length for p, _ in cache.current.prefixes)
    largest = LARGEST_SCORES.get(query.device.type, LARGEST_SCORES_ELSEWHERE)
    step = max(1, largest // (seen * query.shape[0] * query.shape[1]))
    parts = [
        _attend_queries(cache, layer_idx, grouped[..., at : at + step, :], at, rule)
        for at in range(0, query.shape[2], step)
    ]
    output = parts[0] if len(parts) == 1 else torch.cat(parts, dim=3)
    return output.flatten(1, 2).transpose(1, 2).to(query.dtype).contiguous(), None


def _place_of(module: Any, key: torch.Tensor, value: torch.Tensor) -> tuple[SlotCache, int]:
    """The cache and the layer where keys are kept; written now where the layer made them after it asked its
    cache."""
    if place := getattr(key, "in_slots", None):
        return place
    cache: SlotCache = _current.cache
    layer_idx: int = getattr(module, "layer_idx", -1)
    if layer_idx not in cache.expanded:
        raise ModelError("its keys are changed after its cache")
    cache.write(key, value, layer_idx)
    return cache, layer_idx


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a layer weighs what it sees."""

    scaling: float
    reach: Reach
    softcap: float | None
    sinks: torch.Tensor | None
    """(1, key heads, group, 1, 1)"""

    def scores(self, query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """float32 (batch, queries, keys) of (batch, queries, width) and (batch, keys, width)."""
        scores = _product(query, keys.transpose(1, 2)).mul_(self.scaling)
        return scores if self.softcap is None else scores.div_(self.softcap).tanh_().mul_(self.softcap)


def _attend_queries(
    cache: SlotCache, layer_idx: int, query: torch.Tensor, first: int, rule: _Rule
) -> torch.Tensor:
    """float32 output for queries `first` and following of (rows, key heads, group, queries, width).

    One softmax over what a row sees: its own keys, then those of each prefix (of which it has one).
    """
    now, layer = cache.current, cache.layers[layer_idx]
    assert layer.keys is not None
    assert layer.values is not None
    end = now.start + first + query.shape[3]
    keys, values = (part[now.rows, :, :end].flatten(0, 1) for part in (layer.keys, layer.values))
    own = rule.scores(query.flatten(2, 3).flatten(0, 1), keys).view(*query.shape[:4], end)
    parts = [own.masked_fill_(_own_hidden(now, first, query.shape[3], end, rule.reach), float("-inf"))]
    prefixes = [(prefix, rows) for prefix, rows in now.prefixes if prefix.length]
    for prefix, rows in prefixes:
        seen = _prefix_scores(
            now, prefix, layer_idx, query if rows is None else query[rows], rows, first, rule
        )
        if rows is not None:
            seen = own.new_full((*own.shape[:4], seen.shape[4]), float("-inf")).index_copy_(0, rows, seen)
        parts.append(seen)
    if rule.sinks is not None:
        parts.append(rule.sinks.expand(*own.shape[:4], 1))
    weights = torch.cat(parts, dim=-1).softmax(dim=-1).split([part.shape[-1] for part in parts], dim=-1)
    output = _product(weights[0].flatten(2, 3).flatten(0, 1), values).view(*query.shape[:4], -1)
    for (prefix, rows), share in zip(prefixes, weights[1:], strict=False):
        if rows is None:
            output += _prefix_output(prefix, layer_idx, share)
        else:
            output.index_add_(0, rows, _prefix_output(prefix, layer_idx, share[rows]))
    return output


def _own_hidden(now: Pass, first: int, length: int, end: int, reach: Reach) -> torch.Tensor:
    """(rows, 1, 1, queries, keys): the keys of a slot that a query must not see."""
    name = ("own", first, length, reach)
    if name not in now.masks:
        at = (now.starts[:, None] + torch.arange(first, first + length, device=now.starts.device))[:, :, None]
        keys = torch.arange(end, device=now.starts.device)
        hidden = keys > at
        if reach.is_limited:
            before = _before(now)[:, None, None]
            hidden |= ~reach.sees(before + at, before + keys)
        now.masks[name] = hidden[:, None, None]
    return now.masks[name]


def _before(now: Pass) -> torch.Tensor:
    """(rows,) tokens of each row's prefix."""
    lengths = torch.zeros_like(now.starts)
    for prefix, rows in now.prefixes:
        if rows is None:
            lengths.fill_(prefix.length)
        else:
            lengths.index_fill_(0, rows, prefix.length)
    return lengths


def _prefix_scores(
    now: Pass,
    prefix: Prefix,
    layer_idx: int,
    query: torch.Tensor,
    rows: torch.Tensor | None,
    first: int,
    rule: _Rule,
) -> torch.Tensor:
    """(rows, key heads, group, queries, kept) scores, in one product of all rows with the prefix's keys."""
    keys = prefix.layers[layer_idx].keys
    assert keys is not None
    heads_first = query.transpose(0, 1)
    scores = rule.scores(heads_first.flatten(1, 3), keys[0]).view(*heads_first.shape[:4], -1)
    if rule.reach.is_limited:
        hidden = _prefix_hidden(now, prefix, rows, first, query.shape[3], keys.shape[2], rule.reach)
        scores.masked_fill_(hidden, float("-inf"))
    return scores.transpose(0, 1)


def _prefix_output(prefix: Prefix, layer_idx: int, weights: torch.Tensor) -> torch.Tensor:
    """(rows, key heads, group, queries, width) of weights (rows, key heads, group, queries, kept)."""
    values = prefix.layers[layer_idx].values
    assert values is not None
    heads_first = weights.transpose(0, 1)
    return _product(heads_first.flatten(1, 3), values[0]).view(*heads_first.shape[:4], -1).transpose(0, 1)


def _prefix_hidden(
    now: Pass, prefix: Prefix, rows: torch.Tensor | None, first: int, length: int, kept: int, reach: Reach
) -> torch.Tensor:
    """(1, rows, 1, queries, kept): the kept keys of a prefix that a query no longer sees."""
    name = ("prefix", id(prefix), first, length, kept, reach)
    if name not in now.masks:
        starts = now.starts if rows is None else now.starts[rows]
        at = prefix.length + starts[:, None] + torch.arange(first, first + length, device=starts.device)
        keys = torch.arange(prefix.length - kept, prefix.length, device=starts.device)
        now.masks[name] = ~reach.sees(at[:, :, None], keys)[None, :, None]
    return now.masks[name]


def _product(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Batched matrix product with keys or values, in their data type, accumulated and returned in float32."""
    one = one.to(other.dtype)
    if one.dtype == torch.float32:
        return torch.bmm(one, other)
    if one.is_cuda:
        return torch.bmm(one, other, out_dtype=torch.float32)
    return torch.bmm(one.float(), other.float())
