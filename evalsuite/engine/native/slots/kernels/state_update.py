"""The recurrence of a Mamba-2 layer for one new token per row, in one kernel."""

import torch
import triton
import triton.language as tl

STATE_NUMBERS = 4096
"""Values of a head's state that one program updates: 32 registers of each of its 128 threads."""
SOFTPLUS_IS_LINEAR = tl.constexpr(20.0)
"""Softplus is linear above this value, as in torch."""


@triton.jit
def _softplus(value):
    """max(value, 0) + log(1 + u) with u = exp(-|value|), by the series of 2 artanh(u / (2 + u)).

    A GPU's approximate logarithm would cost a small step its digits.
    """
    u = tl.exp(-tl.abs(value))
    s = u / (2.0 + u)
    q = s * s
    series = 1.0 / 13.0 + q / 15.0
    series = 1.0 / 11.0 + q * series
    series = 1.0 / 9.0 + q * series
    series = 1.0 / 7.0 + q * series
    series = 1.0 / 5.0 + q * series
    series = 1.0 / 3.0 + q * series
    soft = tl.maximum(value, 0.0) + 2.0 * s * (1.0 + q * series)
    return tl.where(value > SOFTPLUS_IS_LINEAR, value, soft)


@triton.jit(do_not_specialize=["x_stride", "dt_stride", "B_stride", "C_stride", "z_stride"])
def _state_update(
    state,
    x,
    dt,
    A,
    B,
    C,
    D,
    bias,
    z,
    slots,
    result,
    x_stride,
    dt_stride,
    B_stride,
    C_stride,
    z_stride,
    slot_stride,
    heads,
    shared,
    width,
    numbers,
    low,
    high,
    BY_INDEX: tl.constexpr,
    BIASED: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    SKIP: tl.constexpr,
    GATED: tl.constexpr,
    WIDTH: tl.constexpr,
    NUMBERS: tl.constexpr,
):
    """Update WIDTH channels of one head of one row's state, and read them.

    `shared` heads have the same B and C; a channel's state has `numbers` values.
    Grid: (blocks of WIDTH channels, heads, rows).
    """
    head, row = tl.program_id(1), tl.program_id(2).to(tl.int64)
    slot = tl.load(slots + row).to(tl.int64) if BY_INDEX else row
    channel = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    number = tl.arange(0, NUMBERS)
    real, inside = channel < width, number < numbers
    place = state + slot * slot_stride + (head * width + channel)[:, None] * numbers + number[None, :]
    held = real[:, None] & inside[None, :]
    before = tl.load(place, mask=held, other=0.0).to(tl.float32)
    step = tl.load(dt + row * dt_stride + head).to(tl.float32)
    if BIASED:
        step += tl.load(bias + head).to(tl.float32)
    if SOFTPLUS:
        step = _softplus(step)
    step = tl.where(step < low, low, tl.where(step > high, high, step))
    decay = tl.exp(step * tl.load(A + head).to(tl.float32))
    at = row * x_stride + head * width + channel
    inputs = tl.load(x + at, mask=real, other=0.0).to(tl.float32)
    group = head // shared * numbers + number
    written = tl.load(B + row * B_stride + group, mask=inside, other=0.0).to(tl.float32)
    read = tl.load(C + row * C_stride + group, mask=inside, other=0.0).to(tl.float32)
    after = before * decay + (inputs * step)[:, None] * written[None, :]
    output = tl.sum(after * read[None, :], axis=1)
    if SKIP:
        output += inputs * tl.load(D + head).to(tl.float32)
    if GATED:
        gate = tl.load(z + row * z_stride + head * width + channel, mask=real, other=0.0).to(tl.float32)
        output *= gate * tl.sigmoid(gate)
    # As in `trees.kernels.merge`: threads may hold the same values of a small state, so all loads come first.
    tl.debug_barrier()
    tl.store(place, after.to(state.dtype.element_ty), mask=held)
    at = (row * heads + head) * width + channel
    tl.store(result + at, output.to(result.dtype.element_ty), mask=real)


def state_update(
    state: torch.Tensor,
    hidden_states: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None = None,
    dt_bias: torch.Tensor | None = None,
    z: torch.Tensor | None = None,
    *,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = (0.0, float("inf")),
    slots: torch.Tensor | None = None,
) -> torch.Tensor:
    """The recurrence S = exp(A dt) S + dt B x, y = C S + D x for one new token per row; S changes in place.

    Args:
        state: (slots, heads, width, numbers); each slot contiguous.
        hidden_states: (rows, heads, width); the recurrence's inputs x.
        dt: (rows, heads) raw time steps.
        A: (heads,), negative.
        B: (rows, groups, numbers); adjacent heads share a group.
        C: as `B`.
        D: (heads,) factor of the input that is added to the output.
        dt_bias: (heads,) added to the raw time steps.
        z: (rows, heads, width); the output is multiplied by silu(z).
        dt_softplus: apply softplus to the time steps.
        dt_limit: lowest and highest time step.
        slots: (rows,) distinct slot of each row; row i has slot i by default.

    Returns:
        (rows, heads, width) in the data type of `hidden_states`; computed in float32 and rounded once.
    """
    rows, heads, width = hidden_states.shape
    groups, numbers = B.shape[1:]
    result = torch.empty(rows, heads, width, dtype=hidden_states.dtype, device=hidden_states.device)
    if not rows:
        return result
    x, dt, B, C = (_rows(part) for part in (hidden_states, dt, B, C))
    z = None if z is None else _rows(z)
    D, dt_bias = (None if part is None else part.contiguous() for part in (D, dt_bias))
    size = triton.next_power_of_2(numbers)
    part = min(triton.next_power_of_2(width), max(1, STATE_NUMBERS // size))
    with torch.cuda.device_of(x):
        _state_update[triton.cdiv(width, part), heads, rows](
            state,
            x,
            dt,
            A.contiguous(),
            B,
            C,
            D,
            dt_bias,
            z,
            slots,
            result,
            x.stride(0),
            dt.stride(0),
            B.stride(0),
            C.stride(0),
            0 if z is None else z.stride(0),
            state.stride(0),
            heads,
            heads // groups,
            width,
            numbers,
            *map(float, dt_limit),
            BY_INDEX=slots is not None,
            BIASED=dt_bias is not None,
            SOFTPLUS=dt_softplus,
            SKIP=D is not None,
            GATED=z is not None,
            WIDTH=part,
            NUMBERS=size,
        )
    return result


def _rows(part: torch.Tensor) -> torch.Tensor:
    """The tensor (rows, ...) itself if each of its rows is contiguous, else a contiguous copy."""
    return part if part[0].is_contiguous() else part.contiguous()
