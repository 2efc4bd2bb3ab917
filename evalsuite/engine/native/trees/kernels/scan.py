"""The recurrence of a Mamba-2 layer over a packed tree, in three kernel launches for any tree."""

from typing import Any

import torch
import triton

from evalsuite.engine.native.trees.kernels.scan_programs import across_blocks, steps_and_sums, within_blocks
from evalsuite.engine.native.trees.kernels.tables import Tables
from evalsuite.engine.native.trees.walk import CHUNK

SMALLEST = 16
"""Smallest dimension of a matrix product, for tensor cores."""
HEADS = 8
"""Heads of a group that one program computes, since they share C B."""
STATE_NUMBERS = 4096
"""Values of a head's state that one program carries through the chunks: they stay in registers."""
STEP_HEADS = 32
"""Heads whose time steps one program computes."""


def path_scan(
    tables: Tables,
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
    """`trees.mamba.tree_scan`, with the tree's tables instead of its walk.

    Time steps are float32 whatever the type of the inputs, as in mamba-ssm's kernels.
    """
    x, dt, B, C = (_rows(part[0]) for part in (hidden_states, dt, B, C))
    tokens, heads, width = x.shape
    groups, state = B.shape[1:]
    result = torch.empty(tokens, heads, width, device=x.device)
    if not tokens:
        return result[None]
    steps = torch.empty(heads, tokens, device=x.device)
    sums = torch.empty(heads, tokens, dtype=torch.float64, device=x.device)
    blocks, chunks, shared = len(tables.edges) - 1, len(tables.chunks), heads // groups
    sizes: dict[str, Any] = {
        "BLOCK": max(SMALLEST, triton.next_power_of_2(CHUNK)),
        "STATE": max(SMALLEST, triton.next_power_of_2(state)),
        "PRECISION": "tf32x3" if x.dtype == torch.float32 else "tf32",
    }
    with torch.cuda.device_of(x):
        steps_and_sums[blocks, triton.cdiv(heads, STEP_HEADS)](
            dt,
            dt_bias,
            A,
            tables.ends,
            tables.edges,
            steps,
            sums,
            dt.stride(0),
            tokens,
            heads,
            *map(float, dt_limit),
            BIASED=dt_bias is not None,
            SOFTPLUS=dt_softplus,
            HEADS=STEP_HEADS,
            BLOCK=sizes["BLOCK"],
        )
        part = _part(width, 64)
        grid = (blocks, groups * triton.cdiv(shared, HEADS), triton.cdiv(width, part))
        within_blocks[grid](
            x,
            B,
            C,
            D,
            steps,
            sums,
            tables.ends,
            tables.edges,
            result,
            x.stride(0),
            B.stride(0),
            C.stride(0),
            tokens,
            heads,
            shared,
            width,
            state,
            SKIP=D is not None,
            HEADS=HEADS,
            WIDTH=part,
            **sizes,
        )
        if chunks:
            part = _part(width, STATE_NUMBERS // sizes["STATE"])
            states = torch.empty(tables.slots, heads, state, width, device=x.device)
            across_blocks[heads, triton.cdiv(width, part)](
                x,
                B,
                C,
                steps,
                sums,
                tables.edges,
                tables.chunks,
                tables.readers,
                states,
                result,
                x.stride(0),
                B.stride(0),
                C.stride(0),
                tokens,
                chunks,
                heads,
                shared,
                width,
                state,
                WIDTH=part,
                **sizes,
            )
    return result[None]


def _rows(part: torch.Tensor) -> torch.Tensor:
    """The tensor (tokens, ...) itself if each of its rows is contiguous, else a contiguous copy."""
    return part if not part.numel() or part[0].is_contiguous() else part.contiguous()


def _part(width: int, most: int) -> int:
    """Columns of a head that one program computes."""
    return max(SMALLEST, min(most, int(triton.next_power_of_2(width))))
