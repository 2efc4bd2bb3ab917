"""Mamba-2 layers over a packed tree.

A Mamba-2 layer mixes tokens by two operations: a short causal convolution, and the recurrence
S[t] = exp(A dt[t]) S[t-1] + dt[t] B[t] x[t], y[t] = C[t] S[t] + D x[t]. Over a tree, t-1 is the token's
parent. Within a block of tokens, y is a product with a matrix of decays; a block's initial state is the final
state of the chunk that it continues. `trees.recurrent` replaces transformers' functions by these.
"""

from typing import Any

import torch
from torch.nn.functional import pad, softplus
from transformers.activations import ACT2FN

from evalsuite.engine.native.trees.walk import Walk, weights_at_once
from evalsuite.engine.native.trees.waves import add_reads


def tree_conv(
    walk: Walk,
    hidden_states: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    activation: str | None = None,
    **options: Any,
) -> torch.Tensor:
    """Causal convolution of every channel along each token's own sequence.

    Args:
        walk: the walk of the row.
        hidden_states: (1, channels, tokens).
        weight: (channels, width); the last column belongs to the token itself.
        bias: (channels,).
        activation: transformers' name of the activation of the result, or None.
        options: options of other implementations, ignored.

    Returns:
        (1, channels, tokens) in the data type of `hidden_states`; computed in float32.
    """
    rows = pad(hidden_states[0].T, (0, 0, 0, 1))  # (tokens + 1, channels); the last row is the missing parent
    tokens = len(rows) - 1
    ancestors = torch.arange(tokens, device=rows.device)
    result = rows.new_zeros(tokens, rows.shape[1], dtype=torch.float32)
    for tap in weight.float().T.flip(0):
        result.addcmul_(rows[ancestors].float(), tap)
        ancestors = walk.parents[ancestors]
    if bias is not None:
        result += bias.float()
    if activation is not None:
        result = ACT2FN[activation](result)
    return result.to(hidden_states.dtype).T[None]


def tree_scan(
    walk: Walk,
    hidden_states: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None = None,
    dt_bias: torch.Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = (0.0, float("inf")),
    **options: Any,
) -> torch.Tensor:
    """The recurrence along each token's own sequence, from a state of zeros.

    Sums of decays are computed in float64: their differences are small compared with the sums.

    Args:
        walk: the walk of the row.
        hidden_states: (1, tokens, heads, width); the recurrence's inputs x.
        dt: (1, tokens, heads) raw time steps.
        A: (heads,), negative.
        B: (1, tokens, groups, state); adjacent heads share a group.
        C: as `B`.
        D: (heads,) factor of the input that is added to the output.
        dt_bias: (heads,) added to the raw time steps.
        dt_softplus: apply softplus to the time steps.
        dt_limit: lowest and highest time step.
        options: options of other implementations, ignored.

    Returns:
        (1, tokens, heads, width), float32.
    """
    steps = dt[0] if dt_bias is None else dt[0] + dt_bias.to(dt.dtype)
    steps = (softplus(steps) if dt_softplus else steps).clamp(*dt_limit)
    x = hidden_states[0].float()
    written, B, C = x * steps[..., None].float(), B[0].float(), C[0].float()
    result, sums = _within_blocks(walk, written, steps.double() * A.double(), B, C)
    if walk.waves is None:
        _across_blocks(walk, written, sums, B, C, result)
    else:
        add_reads(walk.waves, written, sums, B, C, result)
    return (result if D is None else result.addcmul_(x, D.float()[:, None]))[None]


def _within_blocks(
    walk: Walk, written: torch.Tensor, decays: torch.Tensor, B: torch.Tensor, C: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each token's output from its own block, and the sums of decays since the block's beginning.

    Returns:
        (tokens, heads, width), and (tokens, heads) float64.
    """
    heads, groups = decays.shape[1], B.shape[1]
    result, sums = torch.empty_like(written), torch.empty_like(decays)
    for blocks, seen in walk.blocks:
        length = blocks.length
        parts, totals = [], []
        at_once = max(1, weights_at_once(written.device) // (heads * length**2))
        positions = blocks.positions.view(-1, length)  # (blocks, length)
        for index, mask in zip(positions.split(at_once), seen.split(at_once), strict=True):
            total = mask.double() @ decays[index]  # (blocks, length, heads)
            by_head = total.transpose(1, 2)
            weights = (by_head[..., :, None] - by_head[..., None, :]).float().exp_()
            weights = weights.masked_fill_(~mask[:, None], 0).unflatten(1, (groups, -1))
            # `weights` is (blocks, groups, heads of a group, length, length).
            weights *= (C[index].transpose(1, 2) @ B[index].permute(0, 2, 3, 1))[:, :, None]
            read = weights.flatten(1, 2) @ written[index].transpose(1, 2)  # (blocks, heads, length, width)
            parts.append(read.transpose(1, 2).flatten(0, 1))
            totals.append(total.flatten(0, 1))
        result[blocks.kept] = torch.cat(parts)[blocks.real]
        sums[blocks.kept] = torch.cat(totals)[blocks.real]
    return result, sums


def _across_blocks(
    walk: Walk,
    written: torch.Tensor,
    sums: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    result: torch.Tensor,
) -> None:
    """Add to `result` the tokens' outputs from their block's initial state."""
    _, heads, width = written.shape
    groups, state_size = B.shape[1:]
    states = written.new_empty(walk.slots, groups, state_size, heads // groups * width)
    kept = sums.exp().float()
    for chunk in walk.chunks:
        tokens, readers = chunk.tokens, chunk.readers
        left = (sums[tokens][-1] - sums[tokens]).exp().float()[..., None]  # (tokens, heads, 1)
        inputs = (written[tokens] * left).view(-1, groups, states.shape[-1])
        state = B[tokens].permute(1, 2, 0) @ inputs.transpose(0, 1)  # (groups, state, heads x width)
        if chunk.source is not None:
            decay = kept[tokens][-1].repeat_interleave(width).view(groups, 1, -1)
            state.addcmul_(states[chunk.source], decay)
        states[chunk.slot] = state
        read = (C[readers].transpose(0, 1) @ state).transpose(0, 1).reshape(-1, heads, width)
        result.index_add_(0, readers, read * kept[readers][..., None])
