"""Merges two partial results of attention in one launch, by the normalisers of each row and head."""

import torch
import triton
import triton.language as tl

AT_ONCE = 4096
"""Numbers of a row (heads x width) that one program merges."""


@triton.jit(do_not_specialize=["tokens", "rows", "first"])
def _merge_rows(
    result,
    normaliser,
    part,
    log,
    queries,
    result_row,
    result_head,
    part_row,
    part_head,
    tokens,
    rows,
    first,
    heads,
    width,
    GATHERED: tl.constexpr,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Merge row `i` of `part` into the query's row of `result`. Grid: (rows, groups of HEADS heads)."""
    row = tl.program_id(0).to(tl.int64)
    query = tl.load(queries + row) if GATHERED else first + row
    head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    column = tl.arange(0, WIDTH)
    real = head < heads
    known = tl.load(normaliser + head * tokens + query, mask=real, other=0.0)
    new = tl.load(log + head * rows + row, mask=real, other=0.0)
    there = real[:, None] & (column < width)[None, :]
    target = result + query * result_row + head[:, None] * result_head + column[None, :]
    source = part + row * part_row + head[:, None] * part_head + column[None, :]
    before = tl.load(target, mask=there, other=0.0).to(tl.float32)
    more = tl.load(source, mask=there, other=0.0).to(tl.float32)
    highest = tl.maximum(known, new)
    total = tl.exp(known - highest) + tl.exp(new - highest)
    share = tl.exp(new - highest) / total
    # Several threads hold the same few values, and one may store where another has yet to load; Triton puts
    # no barrier in between (https://github.com/triton-lang/triton/issues/1615).
    tl.debug_barrier()
    tl.store(normaliser + head * tokens + query, highest + tl.log(total), mask=real)
    tl.store(target, before + share[:, None] * (more - before), mask=there)


def merge_in_place(
    result: torch.Tensor,
    normaliser: torch.Tensor,
    queries: torch.Tensor | slice,
    part: torch.Tensor,
    log: torch.Tensor,
) -> None:
    """`trees.varlen.merge_partials` as one kernel; no query may occur twice.

    Args:
        result: (tokens, heads, width), each head's numbers adjacent, of any floating-point type.
        normaliser: (heads, tokens) float32, contiguous.
        queries: (rows,) int64 positions in `result`, or as a slice.
        part: (rows, heads, width), each head's numbers adjacent.
        log: (heads, rows) float32.
    """
    rows, heads, width = part.shape
    first, index = (0, queries) if isinstance(queries, torch.Tensor) else (queries.start, None)
    wide = triton.next_power_of_2(width)
    at_once = min(triton.next_power_of_2(heads), max(1, AT_ONCE // wide))
    with torch.cuda.device_of(result):
        _merge_rows[rows, triton.cdiv(heads, at_once)](
            result,
            normaliser,
            part,
            log.contiguous(),
            index,
            result.stride(0),
            result.stride(1),
            part.stride(0),
            part.stride(1),
            result.shape[0],
            rows,
            first,
            heads,
            width,
            GATHERED=index is not None,
            HEADS=at_once,
            WIDTH=wide,
        )
