"""Attention of slots: a row's own keys, and those of its shared prefix read once for all of its rows.

The two parts are merged by their log-sum-exp, so that no prefix is copied into a slot.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from evalsuite.engine.slots_cache import Pass, Prefix, SlotCache

NAME = "evalsuite_slots"
"""Under which transformers finds `attend`; without a mask function of that name it builds no masks."""

LARGEST_SCORES = {"cpu": 2**21}
"""Attention scores (rows x heads x queries x keys) worked on at a time: what stays in a CPU's caches."""
LARGEST_SCORES_ELSEWHERE = 2**26
"""256 MiB in float32."""


@contextlib.contextmanager
def slot_attention(model: Any) -> Iterator[None]:
    """Within this context the model's attention is `attend`."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)
    before = model.config._attn_implementation
    model.config._attn_implementation = NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before


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
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface over the current pass of the `SlotCache` that has seen `key`.

    Args:
        query: (rows, heads, new tokens, width); heads may be a multiple of the keys' heads.
        sliding_window: tokens that a token sees, itself included.
        softcap: scores are squashed to (-softcap, softcap).
        s_aux: (heads,) scores of sinks, which take their share and give nothing (GPT-OSS).

    Returns:
        (rows, new tokens, heads, width), None.
    """
    cache, layer_idx = key.in_slots  # type: ignore[attr-defined]
    grouped = query.unflatten(1, (key.shape[1], -1))
    sinks = None if s_aux is None else s_aux.float().view(1, *grouped.shape[1:3], 1, 1)
    rule = _Rule(query.shape[-1] ** -0.5 if scaling is None else scaling, sliding_window, softcap, sinks)
    seen = cache.current.start + cache.current.length + max(p.length for p, _ in cache.current.prefixes)
    largest = LARGEST_SCORES.get(query.device.type, LARGEST_SCORES_ELSEWHERE)
    step = max(1, largest // (seen * query.shape[0] * query.shape[1]))
    parts = [
        _attend_queries(cache, layer_idx, grouped[..., at : at + step, :], at, rule)
        for at in range(0, query.shape[2], step)
    ]
    output = parts[0] if len(parts) == 1 else torch.cat(parts, dim=3)
    return output.flatten(1, 2).transpose(1, 2).to(query.dtype).contiguous(), None


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a layer weighs what it sees."""

    scaling: float
    window: int | None
    softcap: float | None
    sinks: torch.Tensor | None
    """(1, key heads, group, 1, 1)"""

    def scores(self, query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """float32 (batch, queries, keys) of (batch, queries, width) and (batch, keys, width)."""
        scores = _product(query, keys.transpose(1, 2)).mul_(self.scaling)
        return scores if self.softcap is None else scores.div_(self.softcap).tanh_().mul_(self.softcap)


@dataclass(frozen=True, slots=True)
class _Part:
    """Attention to some of the keys, before it is normalised; (rows, key heads, group, queries, ...)."""

    output: torch.Tensor
    """Sum of exp(score - top) * value."""
    total: torch.Tensor
    """Sum of exp(score - top), last dimension 1."""
    top: torch.Tensor
    """Largest score, last dimension 1."""


def _attend_queries(
    cache: SlotCache, layer_idx: int, query: torch.Tensor, first: int, rule: _Rule
) -> torch.Tensor:
    """Normalised float32 output for queries `first` and following of (rows, key heads, group, ., width)."""
    now = cache.current
    part = _own_part(cache, layer_idx, query, first, rule)
    for prefix, rows in now.prefixes:
        if prefix.length:
            asking = query if rows is None else query[rows]
            seen = _prefix_part(now, prefix, layer_idx, asking, rows, first, rule)
            part = _merged(part, seen) if rows is None else _merged_rows(part, seen, rows)
    if rule.sinks is not None:
        part = _merged(part, _Part(torch.zeros(()), torch.ones(()), rule.sinks))
    return part.output.div_(part.total)


def _own_part(cache: SlotCache, layer_idx: int, query: torch.Tensor, first: int, rule: _Rule) -> _Part:
    now, layer = cache.current, cache.layers[layer_idx]
    assert layer.keys is not None
    assert layer.values is not None
    end = now.start + first + query.shape[3]
    keys, values = (part[now.rows, :, :end].flatten(0, 1) for part in (layer.keys, layer.values))
    scores = rule.scores(query.flatten(2, 3).flatten(0, 1), keys).view(*query.shape[:4], end)
    scores.masked_fill_(_own_hidden(now, first, query.shape[3], end, rule.window), float("-inf"))
    return _part(scores.flatten(2, 3).flatten(0, 1), values, query.shape[:4])


def _own_hidden(now: Pass, first: int, length: int, end: int, window: int | None) -> torch.Tensor:
    """(rows, 1, 1, queries, keys): the keys of a slot that a query must not see."""
    name = ("own", first, length, window)
    if name not in now.masks:
        at = now.starts[:, None] + torch.arange(first, first + length, device=now.starts.device)
        distance = at[:, :, None] - torch.arange(end, device=now.starts.device)
        hidden = distance < 0
        if window is not None:
            hidden |= distance >= window
        now.masks[name] = hidden[:, None, None]
    return now.masks[name]


def _prefix_part(
    now: Pass, prefix: Prefix, layer_idx: int, query: torch.Tensor, rows: torch.Tensor | None, first: int, rule: _Rule
) -> _Part:  # fmt: skip
    """All rows' queries in one product with the prefix's keys."""
    layer = prefix.layers[layer_idx]
    assert layer.keys is not None
    assert layer.values is not None
    shape = query.shape[:4]
    scores = rule.scores(query.transpose(0, 1).flatten(1, 3), layer.keys[0])
    if rule.window is not None:
        hidden = _prefix_hidden(now, prefix, rows, first, shape[3], layer.keys.shape[2], rule.window)
        scores = (
            scores.view(shape[1], shape[0], *shape[2:], -1).masked_fill_(hidden, float("-inf")).flatten(1, 3)
        )
    part = _part(scores, layer.values[0], (shape[1], shape[0], *shape[2:]))
    return _Part(*(tensor.transpose(0, 1) for tensor in (part.output, part.total, part.top)))


def _prefix_hidden(
    now: Pass, prefix: Prefix, rows: torch.Tensor | None, first: int, length: int, kept: int, window: int
) -> torch.Tensor:
    """(1, rows, 1, queries, kept): the kept keys of a prefix that have left a query's window."""
    name = ("prefix", id(prefix), first, length, kept, window)
    if name not in now.masks:
        starts = now.starts if rows is None else now.starts[rows]
        at = starts[:, None] + torch.arange(first, first + length, device=starts.device)
        before = torch.arange(-kept, 0, device=starts.device)
        now.masks[name] = (at[:, :, None] - before >= window)[None, :, None]
    return now.masks[name]


def _part(scores: torch.Tensor, values: torch.Tensor, shape: tuple[int, ...]) -> _Part:
    """Of (batch, queries, keys) scores and (batch, keys, width) values, as `shape` + (width or 1,)."""
    top = scores.amax(dim=-1, keepdim=True).clamp_(min=torch.finfo(scores.dtype).min)
    weights = scores.sub_(top).exp_()
    total = weights.sum(dim=-1, keepdim=True)
    output = _product(weights.to(values.dtype), values)
    return _Part(*(tensor.view(*shape, -1) for tensor in (output, total, top)))


def _merged(one: _Part, other: _Part) -> _Part:
    top = torch.maximum(one.top, other.top)
    share, other_share = (one.top - top).exp_(), (other.top - top).exp_()
    return _Part(
        one.output * share + other.output * other_share, one.total * share + other.total * other_share, top
    )


def _merged_rows(part: _Part, other: _Part, rows: torch.Tensor) -> _Part:
    """`part` with `other` merged into some of its rows; changes its tensors."""
    both = _merged(_Part(part.output[rows], part.total[rows], part.top[rows]), other)
    part.output[rows], part.total[rows], part.top[rows] = both.output, both.total, both.top
    return part


def _product(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Batched matrix product, accumulated and returned in float32."""
    if one.dtype == torch.float32:
        return torch.bmm(one, other)
    if one.is_cuda:
        return torch.bmm(one, other, out_dtype=torch.float32)
    return torch.bmm(one.float(), other.float())
