"""The short causal convolution of a Mamba-2 layer for one new token per row, in one kernel."""

import torch
import triton
import triton.language as tl
from transformers.activations import ACT2FN

CHANNELS = 256
"""Channels that one program computes."""


@triton.jit(do_not_specialize=["row_stride"])
def _conv_update(
    new,
    state,
    weight,
    bias,
    slots,
    result,
    channels,
    row_stride,
    slot_stride,
    KEPT: tl.constexpr,
    WIDTH: tl.constexpr,
    BY_INDEX: tl.constexpr,
    BIASED: tl.constexpr,
    SILU: tl.constexpr,
    TAPS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Shift a slot's kept inputs by one, append the new input, and apply the last WIDTH of them to the taps.

    Grid: (rows, blocks of CHANNELS channels).
    """
    row = tl.program_id(0).to(tl.int64)
    slot = tl.load(slots + row).to(tl.int64) if BY_INDEX else row
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    tap = tl.arange(0, TAPS)
    real = channel < channels
    place = slot * slot_stride + channel[:, None] * KEPT + tap[None, :]
    earlier = real[:, None] & (tap < KEPT - 1)[None, :]
    inputs = tl.load(state + place + 1, mask=earlier, other=0.0)
    newest = tl.load(new + row * row_stride + channel, mask=real, other=0.0).to(state.dtype.element_ty)
    inputs = tl.where((tap == KEPT - 1)[None, :], newest[:, None], inputs)
    used = (tap >= KEPT - WIDTH) & (tap < KEPT)
    share = weight + channel[:, None] * WIDTH + tap[None, :] - (KEPT - WIDTH)
    share = tl.load(share, mask=real[:, None] & used[None, :], other=0.0)
    total = tl.sum(inputs.to(tl.float32) * share.to(tl.float32), axis=1)
    if BIASED:
        total += tl.load(bias + channel, mask=real, other=0.0).to(tl.float32)
    if SILU:
        total = total * tl.sigmoid(total)
    # A thread may store where another thread has yet to load: all loads come first.
    tl.debug_barrier()
    tl.store(state + place, inputs, mask=real[:, None] & (tap < KEPT)[None, :])
    tl.store(result + row * channels + channel, total.to(result.dtype.element_ty), mask=real)


def conv_update(
    hidden_states: torch.Tensor,
    conv_state: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    activation: str | None = None,
    slots: torch.Tensor | None = None,
) -> torch.Tensor:
    """Causal convolution of one new token per row; `conv_state` is updated in place.

    Args:
        hidden_states: (rows, channels, 1) new inputs.
        conv_state: (slots, channels, kept) earlier inputs, the last one newest; each slot contiguous.
        weight: (channels, width), width at most kept; the last column belongs to the new token.
        bias: (channels,).
        activation: transformers' name of the activation of the result, or None.
        slots: (rows,) distinct slot of each row; row i has slot i by default.

    Returns:
        (rows, channels, 1) in the data type of `hidden_states`; computed in float32 and rounded once.
    """
    new = hidden_states[..., 0]
    new = new if new.stride(1) == 1 else new.contiguous()
    rows, channels = new.shape
    fused = activation in (None, "silu", "swish")
    result = torch.empty(rows, channels, dtype=new.dtype if fused else torch.float32, device=new.device)
    if rows:
        kept = conv_state.shape[2]
        with torch.cuda.device_of(new):
            _conv_update[rows, triton.cdiv(channels, CHANNELS)](
                new,
                conv_state,
                weight.contiguous(),
                bias,
                slots,
                result,
                channels,
                new.stride(0),
                conv_state.stride(0),
                KEPT=kept,
                WIDTH=weight.shape[1],
                BY_INDEX=slots is not None,
                BIASED=bias is not None,
                SILU=fused and activation is not None,
                TAPS=triton.next_power_of_2(kept),
                CHANNELS=CHANNELS,
            )
    if not fused:
        result = ACT2FN[activation](result).to(new.dtype)
    return result[..., None]
