"""The Triton programs of `functions`: each reads its inputs once and writes its result once.

Everything is computed in float32 and rounded where the model's own code rounds, to the nearest value, so that
results are those of torch up to the order of sums. A GPU's conversion to bfloat16 does the same; Triton's
interpreter cuts digits off, which is why `_nearest` rounds before any conversion.
"""

import triton
import triton.language as tl

SILU, GELU, GELU_TANH, SQUARED_RELU = (tl.constexpr(code) for code in range(4))
NO_GATE, GATE_FIRST, GATE_LAST = (tl.constexpr(code) for code in range(3))


@triton.jit
def _nearest(value, dtype: tl.constexpr):
    """Round float32 values to the nearest of a data type, ties to even; they stay float32."""
    if dtype == tl.bfloat16:
        bits = value.to(tl.int32, bitcast=True)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & -0x10000
        value = tl.where(value == value, rounded.to(tl.float32, bitcast=True), value)
    elif dtype == tl.float16:
        value = value.to(tl.float16).to(tl.float32)
    return value


@triton.jit
def _activated(value, ACTIVATION: tl.constexpr):
    if ACTIVATION == SILU:
        value = value / (1.0 + tl.exp(-value))
    elif ACTIVATION == GELU:
        value = 0.5 * value * (1.0 + tl.erf(value * 0.7071067811865476))
    elif ACTIVATION == GELU_TANH:
        # 0.5 (1 + tanh(y)) is 1 / (1 + exp(-2 y)), which keeps its digits below zero.
        inner = 0.7978845608028654 * (value + 0.044715 * value * value * value)
        value = value / (1.0 + tl.exp(-2.0 * inner))
    elif ACTIVATION == SQUARED_RELU:
        positive = tl.where(value < 0, 0.0, value)
        value = positive * positive
    return value


@triton.jit(do_not_specialize=["rows"])
def normalise(
    x,
    gate,
    weight,
    result,
    rows,
    groups,
    width,
    x_stride,
    gate_stride,
    eps,
    GATE: tl.constexpr,
    ROUNDED: tl.constexpr,
    PLUS_ONE: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """RMS norm of each group of `width` columns of a token, its weight, and its gate.

    Grid: (parts of ROWS groups of all tokens,). ROUNDED: the norm is rounded before the weight.
    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    token, of_group = row // groups, (row % groups) * width
    real = (row < rows)[:, None] & (column < width)[None, :]
    place = of_group[:, None] + column[None, :]
    value = tl.load(x + token[:, None] * x_stride + place, mask=real, other=0.0).to(tl.float32)
    if GATE != NO_GATE:
        opening = tl.load(gate + token[:, None] * gate_stride + place, mask=real, other=0.0).to(tl.float32)
        opening = _activated(opening, SILU)
    if GATE == GATE_FIRST:
        value *= opening
    value = value * tl.rsqrt(tl.sum(value * value, 1) / width + eps)[:, None]
    share = tl.load(weight + place, mask=real, other=0.0).to(tl.float32)
    if PLUS_ONE:
        share += 1.0
    if ROUNDED:
        value = _nearest(value, x.dtype.element_ty)
    value *= share
    if GATE == GATE_LAST:
        if ROUNDED and x.dtype.element_ty == weight.dtype.element_ty:
            value = _nearest(value, x.dtype.element_ty)
        value *= opening
    value = _nearest(value, result.dtype.element_ty).to(result.dtype.element_ty)
    tl.store(result + row[:, None] * width + column[None, :], value, mask=real)


@triton.jit
def activate(
    x,
    factor,
    result,
    width,
    x_stride,
    factor_stride,
    ACTIVATION: tl.constexpr,
    GATED: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """An activation of each value of `x`, times `factor` if GATED. Grid: (rows, parts of WIDTH columns)."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    real = column < width
    value = tl.load(x + row * x_stride + column, mask=real, other=0.0).to(tl.float32)
    value = _nearest(_activated(value, ACTIVATION), x.dtype.element_ty)
    if GATED:
        value *= tl.load(factor + row * factor_stride + column, mask=real, other=0.0).to(tl.float32)
        value = _nearest(value, result.dtype.element_ty)
    tl.store(result + row * width + column, value.to(result.dtype.element_ty), mask=real)


@triton.jit
def _rotated(source, target, cos, sin, sign, other, ROUNDED: tl.constexpr, real):
    """Store one half of a rotated head: its values times cos, and those of the other half times sin."""
    DTYPE: tl.constexpr = target.dtype.element_ty
    straight = tl.load(source, mask=real, other=0.0).to(tl.float32) * cos
    crossed = sign * tl.load(other, mask=real, other=0.0).to(tl.float32) * sin
    if ROUNDED:
        straight, crossed = _nearest(straight, DTYPE), _nearest(crossed, DTYPE)
    tl.store(target, _nearest(straight + crossed, DTYPE).to(DTYPE), mask=real)


@triton.jit(do_not_specialize=["tokens"])
def rotate(
    q,
    k,
    q_result,
    k_result,
    cos,
    sin,
    tokens,
    q_heads,
    half,
    rest,
    q_row,
    q_head,
    q_token,
    k_row,
    k_head,
    k_token,
    q_result_row,
    q_result_head,
    q_result_token,
    k_result_row,
    k_result_head,
    k_result_token,
    cos_row,
    cos_token,
    sin_row,
    sin_token,
    ROUNDED: tl.constexpr,
    TOKENS: tl.constexpr,
    HALF: tl.constexpr,
    REST: tl.constexpr,
):
    """Rotate the first 2 x `half` columns of each head by its token's angles, and copy the `rest`.

    Grid: (parts of TOKENS tokens of a row, heads of q and k, rows).
    """
    token = tl.program_id(0).to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
    row, head = tl.program_id(2).to(tl.int64), tl.program_id(1).to(tl.int64)
    column = tl.arange(0, HALF)
    source = q + row * q_row + head * q_head + token * q_token
    target = q_result + row * q_result_row + head * q_result_head + token * q_result_token
    if head >= q_heads:
        head -= q_heads
        source = k + row * k_row + head * k_head + token * k_token
        target = k_result + row * k_result_row + head * k_result_head + token * k_result_token
    real = (token < tokens)[:, None] & (column < half)[None, :]
    first, second = source[:, None] + column[None, :], source[:, None] + half + column[None, :]
    to_first, to_second = target[:, None] + column[None, :], target[:, None] + half + column[None, :]
    at_cos = cos + row * cos_row + token[:, None] * cos_token + column[None, :]
    at_sin = sin + row * sin_row + token[:, None] * sin_token + column[None, :]
    cos_first = tl.load(at_cos, mask=real, other=0.0).to(tl.float32)
    cos_second = tl.load(at_cos + half, mask=real, other=0.0).to(tl.float32)
    sin_first = tl.load(at_sin, mask=real, other=0.0).to(tl.float32)
    sin_second = tl.load(at_sin + half, mask=real, other=0.0).to(tl.float32)
    _rotated(first, to_first, cos_first, sin_first, -1.0, second, ROUNDED, real)
    _rotated(second, to_second, cos_second, sin_second, 1.0, first, ROUNDED, real)
    if REST > 0:
        extra = 2 * half + tl.arange(0, REST)
        there = (token < tokens)[:, None] & (extra < 2 * half + rest)[None, :]
        value = tl.load(source[:, None] + extra[None, :], mask=there, other=0.0)
        tl.store(target[:, None] + extra[None, :], value, mask=there)
