"""Gated delta rules over a packed tree: linear attention that writes what its state does not tell yet.

S[t] = exp(g[t]) S[t-1] + k[t] d[t], d[t] = beta[t] (v[t] - k[t] exp(g[t]) S[t-1]), o[t] = q[t] S[t] ("Gated
Delta Networks", Yang et al. 2024; Qwen3-Next, Qwen3.5, OLMo-hybrid). With one g for each channel of k it is
Kimi Delta Attention ("Kimi Linear", 2025). Over a tree, t-1 is the token's parent.

Within a block, G being the sums of g since its beginning, d = U - W S with the state S that the block starts
from: U and W solve one triangular system with as many unknowns as tokens, in which a token meets its
    ancestors alone (the order of
the row has ancestors first). Across blocks everything is a product with S, as for Mamba-2.
"""

from dataclasses import dataclass
from typing import Any

import torch

from evalsuite.engine.native.trees.blocks import Blocks
from evalsuite.engine.native.trees.walk import Walk

WEIGHTS_AT_ONCE = 1 << 20
"""Weights (blocks x heads x length x length x widths of decays) in memory at a time: few enough for the
caches."""
NORM_EPSILON = 1e-6
"""Under the root of a normed query's or key's length, in all of transformers' versions (5.23) and in FLA."""


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

    Sums of decays are taken in float64, everything else in float32.

    Args:
        walk: of the row.
        query: (1, tokens, key heads, width); scaled by 1 / sqrt(width) here.
        key: as `query`.
        value: (1, tokens, heads, width of values); heads that follow each other share a key head.
        g: (1, tokens, heads) or (1, tokens, heads, width) logarithms of decays.
        beta: (1, tokens, heads) shares that are written.
        initial_state: None; sequences begin within the row.
        output_final_state: False; a tree has no single end.
        use_qk_l2norm_in_kernel: bring queries and keys to a length of 1.
        options: of other implementations.

    Returns:
        (1, tokens, heads, width of values) in the data type of `query`, and no state.
    """
    if initial_state is not None or output_final_state:
        raise ValueError("Over a tree, recurrences begin from zeros and keep no state.")
    heads = value.shape[2]
    q, k, v = (part[0].float() for part in (query, key, value))
    if use_qk_l2norm_in_kernel:
        q, k = (part * torch.rsqrt(part.square().sum(-1, keepdim=True) + NORM_EPSILON) for part in (q, k))
    q = q * q.shape[-1] ** -0.5
    q, k = (part.repeat_interleave(heads // part.shape[1], dim=1) for part in (q, k))
    decays = g[0].double().unflatten(1, (heads, -1)).flatten(2)
    found = _within_blocks(walk, _Inputs(q, k, v, beta[0].float()[..., None], decays))
    _across_blocks(walk, k, found)
    return found.result[None].to(query.dtype), None


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Of the row's tokens, (tokens, heads, width) each; beta has the width 1, decays may have it."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    beta: torch.Tensor
    decays: torch.Tensor
    """float64."""


@dataclass(frozen=True, slots=True)
class _Local:
    """What is known of each token before the states that blocks start from: (tokens, heads, width) each."""

    result: torch.Tensor
    """What it reads of its own block."""
    reads: torch.Tensor
    """What it multiplies that state with, to be added to `result`."""
    written: torch.Tensor
    """What it writes (U)."""
    corrects: torch.Tensor
    """What it multiplies that state with, to be taken off what it writes (W)."""
    sums: torch.Tensor
    """Sums of decays since the beginning of the block, its own included, float64."""


def _within_blocks(walk: Walk, inputs: _Inputs) -> _Local:
    parts = (inputs.value, inputs.query, inputs.value, inputs.key, inputs.decays)
    found = _Local(*(torch.empty_like(part) for part in parts))
    columns = (found.result, found.reads, found.written, found.corrects, found.sums)
    for blocks, seen in walk.blocks:
        for column, of_blocks in zip(columns, _of_blocks(blocks, seen, inputs), strict=True):
            column[blocks.kept] = of_blocks[blocks.real]
    return found


def _of_blocks(blocks: Blocks, seen: torch.Tensor, inputs: _Inputs) -> list[torch.Tensor]:
    """`_Local`'s columns for blocks of one length, (blocks x length, heads, width)."""
    length, heads = blocks.length, inputs.key.shape[1]
    at_once = max(1, WEIGHTS_AT_ONCE // (length**2 * inputs.decays.shape[2]))
    blocks_at_once, heads_at_once = max(1, at_once // heads), min(heads, at_once)
    columns: list[list[torch.Tensor]] = [[] for _ in range(5)]
    places = blocks.positions.view(-1, length)
    for at, mask in zip(places.split(blocks_at_once), seen.split(blocks_at_once), strict=True):
        of_heads = [
            _solved(
                mask, *(part[at, first : first + heads_at_once].transpose(1, 2) for part in _parts(inputs))
            )
            for first in range(0, heads, heads_at_once)
        ]
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
    """`_Local`'s columns of (blocks, heads, length, width); `seen` is (blocks, length, length)."""
    seen = seen[:, None]
    sums = seen.double() @ decays
    asked, met = _decayed_products(seen, q, k, sums)
    kept = sums.exp().float()
    right = torch.cat([v, k * kept], dim=-1) * beta
    written, corrects = torch.linalg.solve_triangular(
        met.mul_(beta), right, upper=False, unitriangular=True
    ).split([v.shape[-1], k.shape[-1]], dim=-1)
    return asked @ written, (q * kept).sub_(asked @ corrects), written, corrects, sums


def _decayed_products(
    seen: torch.Tensor, q: torch.Tensor, k: torch.Tensor, sums: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of queries, and of keys, with the keys of ancestors and themselves: (blocks, heads, length, length)."""
    if sums.shape[-1] == 1:
        weights = (sums - sums.transpose(-1, -2)).masked_fill_(~seen, -torch.inf).float().exp_()
        keys = k.transpose(-1, -2)
        return (q @ keys).mul_(weights), (k @ keys).mul_(weights)
    between = sums[..., :, None, :] - sums[..., None, :, :]
    weights = between.masked_fill_(~seen[..., None], -torch.inf).float().exp_()
    keys = weights.mul_(k[..., None, :, :])
    return (keys @ q[..., None])[..., 0], (keys @ k[..., None])[..., 0]


def _across_blocks(walk: Walk, key: torch.Tensor, found: _Local) -> None:
    """Add to `found.result` what tokens read of the state that their block starts from."""
    _, heads, width = key.shape
    states = key.new_empty(walk.slots, heads, width, found.written.shape[-1])
    for chunk in walk.chunks:
        tokens, readers = chunk.tokens, chunk.readers
        sums = found.sums[tokens]
        keys = (key[tokens] * (sums[-1] - sums).exp().float()).permute(1, 2, 0)
        written = found.written[tokens].transpose(0, 1)
        if chunk.source is None:
            state = keys @ written
        else:
            before = states[chunk.source]
            state = keys @ (written - found.corrects[tokens].transpose(0, 1) @ before)
            state.addcmul_(before, sums[-1].exp().float()[..., None])
        states[chunk.slot] = state
        read = found.reads[readers].transpose(0, 1) @ state
        found.result.index_add_(0, readers, read.transpose(0, 1))
