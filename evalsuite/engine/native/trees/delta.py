"""Gated delta rules over a packed tree: linear attention that writes only the difference to its state.

S[t] = exp(g[t]) S[t-1] + k[t] d[t], d[t] = beta[t] (v[t] - k[t] exp(g[t]) S[t-1]), o[t] = q[t] S[t] ("Gated
Delta Networks", Yang et al. 2024; Qwen3-Next, Qwen3.5, OLMo-hybrid). With a separate g for each channel of k,
it is Kimi Delta Attention ("Kimi Linear", 2025). Over a tree, t-1 is the token's parent.

Let G be the sums of g since the beginning of a block, and S the block's initial state. Then d = U - W S,
where U and W solve one triangular system with as many unknowns as tokens. Each token's equation contains only
the token and its ancestors, which precede it in the row. Across blocks everything is a product with S, as for
Mamba-2.
"""

from dataclasses import dataclass
from typing import Any

import torch

from evalsuite.engine.native.trees.blocks import Blocks
from evalsuite.engine.native.trees.walk import Walk, weights_at_once

NORM_EPSILON = 1e-6
"""Added to the squared length of queries and keys in their norm, as in transformers (5.23) and in FLA."""


def tree_delta(
    walk: Walk,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    g: torch.Tensor,
    beta: torch.Tensor,
    *,
    initial_state: torch.Tensor | None = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """The rule along each token's own sequence, from a state of zeros.

    Sums of decays are computed in float64, everything else in float32.

    Args:
        walk: the walk of the row.
        query: (1, tokens, key heads, width); scaled by 1 / sqrt(width) here.
        key: as `query`.
        value: (1, tokens, heads, value width); adjacent heads share a key head.
        g: (1, tokens, heads) or (1, tokens, heads, width) logarithms of decays.
        beta: (1, tokens, heads) shares of the differences that are written.
        initial_state: must be None: sequences begin within the row.
        output_final_state: must be False: a tree has no single end.
        use_qk_l2norm_in_kernel: normalise queries and keys to length 1.
        options: options of other implementations, ignored.

    Returns:
        (1, tokens, heads, value width) in the data type of `query`, and no state.

    Raises:
        ValueError: a state is given or requested.
    """
    if initial_state is not None or output_final_state:
        raise ValueError("Over a tree, recurrences begin from zeros and keep no state.")
    heads = value.shape[2]
    q, k, v = (part[0].float() for part in (query, key, value))  # (tokens, heads, width)
    if use_qk_l2norm_in_kernel:
        q, k = (part * torch.rsqrt(part.square().sum(-1, keepdim=True) + NORM_EPSILON) for part in (q, k))
    q = q * q.shape[-1] ** -0.5
    q, k = (part.repeat_interleave(heads // part.shape[1], dim=1) for part in (q, k))
    decays = g[0].double().unflatten(1, (heads, -1)).flatten(2)  # (tokens, heads, 1 or width)
    local = _within_blocks(walk, _Inputs(q, k, v, beta[0].float()[..., None], decays))
    _across_blocks(walk, k, local)
    return local.result[None].to(query.dtype), None


@dataclass(frozen=True, slots=True)
class _Inputs:
    """The row's inputs, (tokens, heads, width) each; beta has width 1, decays width 1 or the keys' width."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    beta: torch.Tensor
    decays: torch.Tensor
    """float64."""


@dataclass(frozen=True, slots=True)
class _Local:
    """Each token's results without its block's initial state S: (tokens, heads, width) each."""

    result: torch.Tensor
    """Output from the token's own block."""
    reads: torch.Tensor
    """Factor of S whose product is added to `result`."""
    written: torch.Tensor
    """What the token writes without S (U)."""
    corrects: torch.Tensor
    """Factor of S whose product is subtracted from what the token writes (W)."""
    sums: torch.Tensor
    """Sums of decays since the beginning of the block, the token's own included; float64."""


def _within_blocks(walk: Walk, inputs: _Inputs) -> _Local:
    parts = (inputs.value, inputs.query, inputs.value, inputs.key, inputs.decays)
    local = _Local(*(torch.empty_like(part) for part in parts))
    columns = (local.result, local.reads, local.written, local.corrects, local.sums)
    for blocks, seen in walk.blocks:
        for column, of_blocks in zip(columns, _of_blocks(blocks, seen, inputs), strict=True):
            column[blocks.kept] = of_blocks[blocks.real]
    return local


def _of_blocks(blocks: Blocks, seen: torch.Tensor, inputs: _Inputs) -> list[torch.Tensor]:
    """The columns of `_Local` for blocks of one length: (blocks x length, heads, width) each."""
    length, heads = blocks.length, inputs.key.shape[1]
    at_once = max(1, weights_at_once(inputs.key.device) // (length**2 * inputs.decays.shape[2]))
    blocks_at_once, heads_at_once = max(1, at_once // heads), min(heads, at_once)
    columns: list[list[torch.Tensor]] = [[] for _ in range(5)]
    positions = blocks.positions.view(-1, length)  # (blocks, length)
    for index, mask in zip(positions.split(blocks_at_once), seen.split(blocks_at_once), strict=True):
        of_heads = []
        for first in range(0, heads, heads_at_once):
            parts = (part[index, first : first + heads_at_once].transpose(1, 2) for part in _parts(inputs))
            of_heads.append(_solved(mask, *parts))  # (blocks, heads, length, width) each
        for column, pieces in zip(columns, zip(*of_heads, strict=True), strict=True):
            column.append(torch.cat(pieces, 1).transpose(1, 2).flatten(0, 1))
    return [torch.cat(column) for column in columns]


def _parts(inputs: _Inputs) -> tuple[torch.Tensor, ...]:
    return inputs.query, inputs.key, inputs.value, inputs.beta, inputs.decays


def _solved(
    seen: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    beta: torch.Tensor,
    decays: torch.Tensor,
) -> tuple[torch.Tensor, ...]:
    """The columns of `_Local` from (blocks, heads, length, width) inputs, in the same shape.

    Args:
        seen: (blocks, length, length) whether the second token is the first one or its ancestor.
        q, k, v, beta, decays: the inputs.
    """
    seen = seen[:, None]
    sums = seen.double() @ decays  # (blocks, heads, length, 1 or width)
    query_products, key_products = _decayed_products(seen, q, k, sums)  # (blocks, heads, length, length)
    kept = sums.exp().float()
    right = torch.cat([v, k * kept], dim=-1) * beta  # (blocks, heads, length, value width + width)
    written, corrects = torch.linalg.solve_triangular(
        key_products.mul_(beta), right, upper=False, unitriangular=True
    ).split([v.shape[-1], k.shape[-1]], dim=-1)
    reads = (q * kept).sub_(query_products @ corrects)
    return query_products @ written, reads, written, corrects, sums


def _decayed_products(
    seen: torch.Tensor, q: torch.Tensor, k: torch.Tensor, sums: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decayed products of queries, and of keys, with keys of the token itself and its ancestors.

    Returns:
        (blocks, heads, length, length) each.
    """
    if sums.shape[-1] == 1:
        weights = (sums - sums.transpose(-1, -2)).masked_fill_(~seen, -torch.inf).float().exp_()
        keys = k.transpose(-1, -2)
        return (q @ keys).mul_(weights), (k @ keys).mul_(weights)
    between = sums[..., :, None, :] - sums[..., None, :, :]
    weights = between.masked_fill_(~seen[..., None], -torch.inf).float().exp_()
    keys = weights.mul_(k[..., None, :, :])
    return (keys @ q[..., None])[..., 0], (keys @ k[..., None])[..., 0]


def _across_blocks(walk: Walk, key: torch.Tensor, local: _Local) -> None:
    """Add the tokens' outputs from their block's initial state; `key` is (tokens, heads, width)."""
    _, heads, width = key.shape
    states = key.new_empty(walk.slots, heads, width, local.written.shape[-1])
    for chunk in walk.chunks:
        tokens, readers = chunk.tokens, chunk.readers
        sums = local.sums[tokens]
        keys = (key[tokens] * (sums[-1] - sums).exp().float()).permute(1, 2, 0)  # (heads, width, tokens)
        written = local.written[tokens].transpose(0, 1)  # (heads, tokens, value width)
        if chunk.source is None:
            state = keys @ written  # (heads, width, value width)
        else:
            before = states[chunk.source]
            state = keys @ (written - local.corrects[tokens].transpose(0, 1) @ before)
            state.addcmul_(before, sums[-1].exp().float()[..., None])
        states[chunk.slot] = state
        read = local.reads[readers].transpose(0, 1) @ state  # (heads, readers, value width)
        local.result.index_add_(0, readers, read.transpose(0, 1))
