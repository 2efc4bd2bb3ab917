"""The short causal convolution of a Mamba-2 layer along each token's own sequence, in one kernel."""

from typing import Any

import torch
import triton
import triton.language as tl
from transformers.activations import ACT2FN

from evalsuite.engine.native.trees.kernels.tables import Tables

TOKENS, CHANNELS = 32, 128
"""Tokens and channels that one program computes."""


@triton.jit(do_not_specialize=["tokens"])
def _conv(
    rows,
    weight,
    bias,
    parents,
    result,
    tokens,
    channels,
    row_stride,
    weight_stride,
    WIDTH: tl.constexpr,
    BIASED: tl.constexpr,
    SILU: tl.constexpr,
    TOKENS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Each token walks up its ancestors, one per tap; the position behind the row stands for no parent."""
    at = tl.program_id(0).to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    real = channel < channels
    place = at[:, None] * channels + channel[None, :]
    kept = (at < tokens)[:, None] & real[None, :]
    total = tl.zeros((TOKENS, CHANNELS), tl.float32)
    for tap in tl.static_range(WIDTH):
        inside = (at < tokens)[:, None] & real[None, :]
        value = tl.load(rows + at[:, None] * row_stride + channel[None, :], mask=inside, other=0.0)
        share = tl.load(weight + channel * weight_stride + WIDTH - 1 - tap, mask=real, other=0.0)
        total += value.to(tl.float32) * share.to(tl.float32)[None, :]
        at = tl.load(parents + at, mask=at < tokens, other=tokens)
    if BIASED:
        total += tl.load(bias + channel, mask=real, other=0.0).to(tl.float32)[None, :]
    if SILU:
        total = total * tl.sigmoid(total)
    tl.store(result + place, total.to(result.dtype.element_ty), mask=kept)


def path_conv(
    tables: Tables,
    hidden_states: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    activation: str | None = None,
    **options: Any,
) -> torch.Tensor:
    """`trees.mamba.tree_conv`, with the tree's tables instead of its walk."""
    rows = hidden_states[0].T
    rows = rows if rows.stride(1) == 1 else rows.contiguous()
    weight = weight if weight.stride(1) == 1 else weight.contiguous()
    tokens, channels = rows.shape
    fused = activation in (None, "silu", "swish")
    result = torch.empty(tokens, channels, dtype=rows.dtype if fused else torch.float32, device=rows.device)
    grid = (triton.cdiv(tokens, TOKENS), triton.cdiv(channels, CHANNELS))
    if tokens:
        with torch.cuda.device_of(rows):
            _conv[grid](
                rows,
                weight,
                bias,
                tables.parents,
                result,
                tokens,
                channels,
                rows.stride(0),
                weight.stride(0),
                WIDTH=weight.shape[1],
                BIASED=bias is not None,
                SILU=fused and activation is not None,
                TOKENS=TOKENS,
                CHANNELS=CHANNELS,
            )
    if not fused:
        result = ACT2FN[activation](result).to(rows.dtype)
    return result.T[None]
