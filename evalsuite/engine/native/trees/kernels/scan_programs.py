"""The three Triton programs of `scan`, each with its own grid.

Sizes: `heads` in all, `shared` heads of a group, `width` of a head, `state` values per channel of a head.
Sums of decays, and their differences, are float64, as in `trees.mamba`. Matrix products run on tensor cores
and accumulate in float32 (`PRECISION`): float32 inputs are split into three parts ("tf32x3"); half-precision
inputs, which tf32 represents exactly, need only one ("tf32").
"""

import triton
import triton.language as tl

SOFTPLUS_IS_LINEAR = tl.constexpr(20.0)
"""Softplus is linear above this value, as in torch."""


@triton.jit
def _rounded(value, PRECISION: tl.constexpr):
    """Round a factor to the ten mantissa bits of tf32; a tensor core would truncate it."""
    if PRECISION == "tf32":
        bits = value.to(tl.int32, bitcast=True)
        nearest = ((bits + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
        value = tl.where(value == value, nearest, value)
    return value


@triton.jit(do_not_specialize=["tokens"])
def steps_and_sums(
    dt,
    bias,
    A,
    ends,
    edges,
    steps,
    sums,
    dt_stride,
    tokens,
    heads,
    low,
    high,
    BIASED: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    HEADS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Time steps, and sums of decays since the beginning of a token's block: (heads, tokens) each.

    Grid: (blocks, groups of HEADS heads).
    """
    start = tl.load(edges + tl.program_id(0))
    length = (tl.load(edges + tl.program_id(0) + 1) - start).to(tl.int32)
    token = tl.arange(0, BLOCK)
    head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    real = head < heads
    slope = tl.load(A + head, mask=real, other=0.0).to(tl.float64)
    total = tl.zeros((HEADS, BLOCK), tl.float64)
    for earlier in range(length):
        step = tl.load(dt + (start + earlier) * dt_stride + head, mask=real, other=0.0).to(tl.float32)
        if BIASED:
            step += tl.load(bias + head, mask=real, other=0.0).to(tl.float32)
        if SOFTPLUS:
            # In float64: in float32, adding 1 would cost a small step its digits.
            soft = tl.log(1.0 + tl.exp(step.to(tl.float64))).to(tl.float32)
            step = tl.where(step > SOFTPLUS_IS_LINEAR, step, soft)
        step = tl.where(step < low, low, tl.where(step > high, high, step))
        tl.store(steps + head * tokens + start + earlier, step, mask=real)
        end = tl.load(ends + start + earlier) - start
        seen = (token >= earlier) & (token < end)
        total += tl.where(seen[None, :], (step.to(tl.float64) * slope)[:, None], 0.0)
    place = head[:, None] * tokens + start + token[None, :]
    tl.store(sums + place, total, mask=real[:, None] & (token < length)[None, :])


@triton.jit(do_not_specialize=["tokens"])
def within_blocks(
    x,
    B,
    C,
    D,
    steps,
    sums,
    ends,
    edges,
    result,
    x_stride,
    B_stride,
    C_stride,
    tokens,
    heads,
    shared,
    width,
    state,
    SKIP: tl.constexpr,
    HEADS: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
    STATE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Each token's output from its own block, plus D x.

    Grid: (blocks, groups of up to HEADS heads of a group, parts of a head's width).
    """
    start = tl.load(edges + tl.program_id(0))
    length = tl.load(edges + tl.program_id(0) + 1) - start
    parts = tl.cdiv(shared, HEADS)
    group = tl.program_id(1) // parts
    first = group * shared + tl.program_id(1) % parts * HEADS
    token = tl.arange(0, BLOCK)
    inside = token < length
    row = start + token
    end = tl.load(ends + row, mask=inside, other=0) - start
    seen = (token[:, None] >= token[None, :]) & (token[:, None] < end[None, :]) & inside[:, None]
    at = tl.arange(0, STATE)
    known = inside[:, None] & (at < state)[None, :]
    of_state = group * state + at
    read = tl.load(C + row[:, None] * C_stride + of_state[None, :], mask=known, other=0.0)
    written = tl.load(B + row[:, None] * B_stride + of_state[None, :], mask=known, other=0.0)
    scores = tl.dot(read.to(tl.float32), tl.trans(written).to(tl.float32), input_precision=PRECISION)
    column = tl.program_id(2) * WIDTH + tl.arange(0, WIDTH)
    there = inside[:, None] & (column < width)[None, :]
    for head in range(first, tl.minimum(first + HEADS, (group + 1) * shared)):
        total = tl.load(sums + head * tokens + row, mask=inside, other=0.0)
        step = tl.load(steps + head * tokens + row, mask=inside, other=0.0)
        left = tl.exp(tl.where(seen, total[:, None] - total[None, :], 0.0).to(tl.float32))
        weights = tl.where(seen, left * scores * step[None, :], 0.0)
        of_head = head * width + column
        value = tl.load(x + row[:, None] * x_stride + of_head[None, :], mask=there, other=0.0).to(tl.float32)
        found = tl.dot(_rounded(weights, PRECISION), value, input_precision=PRECISION)
        if SKIP:
            found += tl.load(D + head).to(tl.float32) * value
        tl.store(result + row[:, None] * (heads * width) + of_head[None, :], found, mask=there)


@triton.jit
def _add_read(
    C,
    sums,
    result,
    behind,
    row,
    stop,
    of_head,
    of_state,
    column_real,
    state_real,
    C_stride,
    result_stride,
    PRECISION: tl.constexpr,
):
    """Add to a block's tokens their outputs from the block's initial state (STATE, WIDTH)."""
    inside = row < stop
    known = inside[:, None] & state_real[None, :]
    read = tl.load(C + row[:, None] * C_stride + of_state[None, :], mask=known, other=0.0).to(tl.float32)
    kept = tl.exp(tl.load(sums + row, mask=inside, other=0.0).to(tl.float32))
    target = result + row[:, None] * result_stride + of_head[None, :]
    there = inside[:, None] & column_real[None, :]
    found = tl.dot(read, _rounded(behind, PRECISION), input_precision=PRECISION) * kept[:, None]
    tl.store(target, tl.load(target, mask=there, other=0.0) + found, mask=there)


@triton.jit(do_not_specialize=["tokens", "chunks"])
def across_blocks(
    x,
    B,
    C,
    steps,
    sums,
    edges,
    table,
    readers,
    states,
    result,
    x_stride,
    B_stride,
    C_stride,
    tokens,
    chunks,
    heads,
    shared,
    width,
    state,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
    STATE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Add the tokens' outputs from their block's initial state. Grid: (heads, parts of a head's width).

    Each program carries its part of the states through all chunks. No other program touches that part, so
    that programs need not wait for each other.
    """
    head = tl.program_id(0)
    group = head // shared
    token = tl.arange(0, BLOCK)
    column = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    at = tl.arange(0, STATE)
    of_head, of_state = head * width + column, group * state + at
    place = head * state * width + at[:, None] * width + column[None, :]
    kept = (at < state)[:, None] & (column < width)[None, :]
    for chunk in range(chunks):
        block, source = tl.load(table + 5 * chunk), tl.load(table + 5 * chunk + 1)
        start, stop = tl.load(edges + block), tl.load(edges + block + 1)
        row = start + token
        inside = row < stop
        total = tl.load(sums + head * tokens + row, mask=inside, other=0.0)
        step = tl.load(steps + head * tokens + row, mask=inside, other=0.0)
        whole = tl.load(sums + head * tokens + stop - 1)
        value = tl.load(
            x + row[:, None] * x_stride + of_head[None, :],
            mask=inside[:, None] & (column < width)[None, :],
            other=0.0,
        ).to(tl.float32)
        written = tl.load(
            B + row[:, None] * B_stride + of_state[None, :],
            mask=inside[:, None] & (at < state)[None, :],
            other=0.0,
        ).to(tl.float32)
        left = tl.exp(tl.where(inside, whole - total, 0.0).to(tl.float32)) * step
        put = _rounded(value * left[:, None], PRECISION)
        behind = tl.dot(tl.trans(written), put, input_precision=PRECISION)
        if source >= 0:
            before = tl.load(states + source * (heads * state * width) + place, mask=kept, other=0.0)
            behind += before * tl.exp(whole.to(tl.float32))
        tl.debug_barrier()  # other threads may still be reading the state in this slot
        slot = tl.load(table + 5 * chunk + 2)
        tl.store(states + slot * (heads * state * width) + place, behind, mask=kept)
        tl.debug_barrier()
        for reader in range(tl.load(table + 5 * chunk + 3), tl.load(table + 5 * chunk + 4)):
            block = tl.load(readers + reader)
            start, stop = tl.load(edges + block), tl.load(edges + block + 1)
            _add_read(
                C,
                sums + head * tokens,
                result,
                behind,
                start + token,
                stop,
                of_head,
                of_state,
                column < width,
                at < state,
                C_stride,
                heads * width,
                PRECISION,
            )
