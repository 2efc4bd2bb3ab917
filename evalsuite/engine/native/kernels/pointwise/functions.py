"""Norms, activations and rotary embeddings, each in one pass over its inputs."""

import torch
import triton

from evalsuite.engine.native.kernels.pointwise import programs

WIDEST_ROW = 2**15
"""Most columns that are normalised together: a program has them in its registers."""
TOGETHER = 4096
"""Values that a program computes, unless a row to be normalised has more."""
ACTIVATIONS = {
    "silu": programs.SILU,
    "gelu": programs.GELU,
    "gelu_tanh": programs.GELU_TANH,
    "squared_relu": programs.SQUARED_RELU,
}


def rms_norm(
    x: torch.Tensor,
    weight: torch.Tensor,
    eps: float,
    *,
    rounded: bool,
    plus_one: bool = False,
    gate: torch.Tensor | None = None,
    gate_first: bool = True,
    groups: int = 1,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """x / sqrt(mean(x^2) + eps), times the weight, over each group of columns; computed in float32.

    Args:
        x: (..., columns).
        weight: (columns,).
        eps: added to the mean.
        rounded: round to the data type of `x` before the weight, as Llama's norm does.
        plus_one: add 1 to the weight, as Gemma's norm does.
        gate: (..., columns), of which silu is a factor.
        gate_first: multiply by the gate before the norm, as Mamba-2's norm does.
        groups: groups of adjacent columns.
        dtype: data type of the result; None for that of `x`.

    Returns:
        The shape of `x`, contiguous.
    """
    rows = _as_rows(x)
    gates = rows if gate is None else _as_rows(gate)
    tokens, columns = rows.shape
    width = columns // groups
    result = torch.empty(x.shape, dtype=dtype or x.dtype, device=x.device)
    block = triton.next_power_of_2(width)
    in_program = max(1, TOGETHER // block)
    if tokens:
        with torch.cuda.device_of(rows):
            programs.normalise[triton.cdiv(tokens * groups, in_program),](
                rows,
                gates,
                weight,
                result,
                tokens * groups,
                groups,
                width,
                rows.stride(0),
                gates.stride(0),
                eps,
                GATE=programs.NO_GATE
                if gate is None
                else programs.GATE_FIRST
                if gate_first
                else programs.GATE_LAST,
                ROUNDED=rounded,
                PLUS_ONE=plus_one,
                ROWS=in_program,
                WIDTH=block,
                num_warps=8 if block > TOGETHER else 4,
            )
    return result


def activated(x: torch.Tensor, activation: str, factor: torch.Tensor | None = None) -> torch.Tensor:
    """An activation, rounded to the data type of `x`; times `factor`, if it is given.

    Args:
        x: (..., columns).
        activation: a key of `ACTIVATIONS`.
        factor: the shape and data type of `x`.
    """
    rows = _as_rows(x)
    factors = rows if factor is None else _as_rows(factor)
    result = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    block = min(TOGETHER, triton.next_power_of_2(rows.shape[1]))
    if result.numel():
        with torch.cuda.device_of(rows):
            programs.activate[rows.shape[0], triton.cdiv(rows.shape[1], block)](
                rows,
                factors,
                result,
                rows.shape[1],
                rows.stride(0),
                factors.stride(0),
                ACTIVATION=ACTIVATIONS[activation],
                GATED=factor is not None,
                WIDTH=block,
            )
    return result


def rotated(
    q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *, rounded: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Queries and keys with Llama's rotary embedding of each head's first columns; the rest is as it was.

    Args:
        q: (rows, heads, tokens, width); the last axis is contiguous.
        k: as `q`, of any number of heads.
        cos: (rows or 1, tokens, columns) of an even number of columns, at most `width`.
        sin: as `cos`.
        rounded: round both products to the data type of `q` before they are added.
    """
    count, heads, tokens, width = q.shape
    cos, sin = (part.expand(count, -1, -1) for part in (cos, sin))
    results = torch.empty_like(q), torch.empty_like(k)
    half, rest = cos.shape[-1] // 2, width - cos.shape[-1]
    in_program = max(1, TOGETHER // 2 // triton.next_power_of_2(half))
    in_program = min(in_program, triton.next_power_of_2(tokens))
    if q.numel():
        with torch.cuda.device_of(q):
            programs.rotate[triton.cdiv(tokens, in_program), heads + k.shape[1], count](
                q,
                k,
                *results,
                cos,
                sin,
                tokens,
                heads,
                half,
                rest,
                *(stride for part in (q, k, *results) for stride in part.stride()[:3]),
                *cos.stride()[:2],
                *sin.stride()[:2],
                ROUNDED=rounded,
                TOKENS=in_program,
                HALF=triton.next_power_of_2(half),
                REST=triton.next_power_of_2(rest) if rest else 0,
            )
    return results


def _as_rows(x: torch.Tensor) -> torch.Tensor:
    """(rows, columns) with contiguous rows, without a copy if possible."""
    rows = x.reshape(-1, x.shape[-1])
    return rows if rows.stride(-1) == 1 else rows.contiguous()
