"""The Triton programs of `scan`, each with its own grid.

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


@triton.jit(do_not_specialize=["tokens", "first_chain", "first_head"])
def final_states(
    x,
    B,
    steps,
    sums,
    edges,
    chunks,
    chains,
    states,
    x_stride,
    B_stride,
    tokens,
    first_chain,
    first_head,
    held,
    shared,
    width,
    state,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
    STATE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Final state of each chunk of a level's chains, into `states` (chunks, held heads, state, width).

    Grid: (chains of the level, held heads, parts of STATE x WIDTH values). Nothing that a program loads
    depends on the state in its registers, except the first one: the loads of a chunk need not wait for the
    chunk before.
    """
    chain = first_chain + tl.program_id(0)
    head = first_head + tl.program_id(1)
    group = head // shared
    parts = tl.cdiv(width, WIDTH)
    at = tl.program_id(2) // parts * STATE + tl.arange(0, STATE)
    column = tl.program_id(2) % parts * WIDTH + tl.arange(0, WIDTH)
    token = tl.arange(0, BLOCK)
    place = tl.program_id(1) * state * width + at[:, None] * width + column[None, :]
    kept = (at < state)[:, None] & (column < width)[None, :]
    source = tl.load(chains + 3 * chain + 2)
    behind = tl.zeros((STATE, WIDTH), tl.float32)
    if source >= 0:
        behind = tl.load(states + source * (held * state * width) + place, mask=kept, other=0.0)
    for chunk in range(tl.load(chains + 3 * chain), tl.load(chains + 3 * chain + 1)):
        block = tl.load(chunks + chunk)
        start, stop = tl.load(edges + block), tl.load(edges + block + 1)
        row = start + token
        inside = row < stop
        total = tl.load(sums + head * tokens + row, mask=inside, other=0.0)
        step = tl.load(steps + head * tokens + row, mask=inside, other=0.0)
        whole = tl.load(sums + head * tokens + stop - 1)
        value = tl.load(
            x + row[:, None] * x_stride + (head * width + column)[None, :],
            mask=inside[:, None] & (column < width)[None, :],
            other=0.0,
        ).to(tl.float32)
        written = tl.load(
            B + row[:, None] * B_stride + (group * state + at)[None, :],
            mask=inside[:, None] & (at < state)[None, :],
            other=0.0,
        ).to(tl.float32)
        left = tl.exp(tl.where(inside, whole - total, 0.0).to(tl.float32)) * step
        put = _rounded(value * left[:, None], PRECISION)
        behind = behind * tl.exp(whole.to(tl.float32))
        behind += tl.dot(tl.trans(written), put, input_precision=PRECISION)
        tl.store(states + chunk * (held * state * width) + place, behind, mask=kept)


@triton.jit(do_not_specialize=["tokens", "first_set", "first_head"])
def outputs(
    x,
    B,
    C,
    D,
    steps,
    sums,
    ends,
    edges,
    sources,
    states,
    result,
    x_stride,
    B_stride,
    C_stride,
    tokens,
    first_set,
    first_head,
    held,
    heads,
    shared,
    width,
    state,
    SKIP: tl.constexpr,
    HEADS: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
    STATE: tl.constexpr,
    STATES: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Each token's output: from its own block, from the block's initial state, and D x.

    Grid: (blocks, sets of up to HEADS heads of a group, parts of a head's width). The state is read STATE of
    STATES values at a time.
    """
    start = tl.load(edges + tl.program_id(0))
    length = tl.load(edges + tl.program_id(0) + 1) - start
    source = tl.load(sources + tl.program_id(0))
    sets = tl.cdiv(shared, HEADS)
    group = (first_set + tl.program_id(1)) // sets
    first = group * shared + (first_set + tl.program_id(1)) % sets * HEADS
    token = tl.arange(0, BLOCK)
    inside = token < length
    row = start + token
    end = tl.load(ends + row, mask=inside, other=0) - start
    seen = (token[:, None] >= token[None, :]) & (token[:, None] < end[None, :]) & inside[:, None]
    scores = tl.zeros((BLOCK, BLOCK), tl.float32)
    for low in tl.range(0, STATES, STATE, num_stages=1):
        at = low + tl.arange(0, STATE)
        known = inside[:, None] & (at < state)[None, :]
        of_state = (group * state + at)[None, :]
        read = tl.load(C + row[:, None] * C_stride + of_state, mask=known, other=0.0).to(tl.float32)
        written = tl.load(B + row[:, None] * B_stride + of_state, mask=known, other=0.0).to(tl.float32)
        scores += tl.dot(read, tl.trans(written), input_precision=PRECISION)
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
        if source >= 0:
            kept = states + (source * held + head - first_head) * (state * width)
            behind = tl.zeros((BLOCK, WIDTH), tl.float32)
            for low in tl.range(0, STATES, STATE, num_stages=1):
                at = low + tl.arange(0, STATE)
                read = tl.load(
                    C + row[:, None] * C_stride + (group * state + at)[None, :],
                    mask=inside[:, None] & (at < state)[None, :],
                    other=0.0,
                ).to(tl.float32)
                initial = tl.load(
                    kept + at[:, None] * width + column[None, :],
                    mask=(at < state)[:, None] & (column < width)[None, :],
                    other=0.0,
                )
                behind += tl.dot(read, _rounded(initial, PRECISION), input_precision=PRECISION)
            found += behind * tl.exp(total.to(tl.float32))[:, None]
        tl.store(result + row[:, None] * (heads * width) + of_head[None, :], found, mask=there)
