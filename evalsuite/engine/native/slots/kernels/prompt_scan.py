"""The recurrence of a Mamba-2 layer over prompts in slots, by the kernels of `trees.kernels.scan`.

Prompts are rows of equal length, right-padded, each of which continues the state of its slot. The blocks of a
row are a chain of chunks, so that all rows are walked at once.
"""

import functools
from typing import Any

import numpy as np
import torch

from evalsuite.engine.native.transfer import arrays_to_device
from evalsuite.engine.native.trees.kernels.scan import RowStates, path_scan
from evalsuite.engine.native.trees.kernels.tables import Tables
from evalsuite.engine.native.trees.walk import CHUNK


def prompt_scan(
    hidden_states: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    chunk_size: int | None = None,
    D: torch.Tensor | None = None,
    dt_bias: torch.Tensor | None = None,
    initial_states: torch.Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = (0.0, float("inf")),
    return_final_states: bool = False,
    **options: Any,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """transformers' `mamba2_chunk_scan` with time steps in float32, as in mamba-ssm's kernels.

    Args:
        hidden_states: (rows, tokens, heads, width); the recurrence's inputs x.
        dt: (rows, tokens, heads) raw time steps.
        A: (heads,), negative.
        B: (rows, tokens, groups, state); adjacent heads share a group.
        C: as `B`.
        chunk_size: ignored; it changes only the order of sums.
        D: (heads,) factor of the input that is added to the output.
        dt_bias: (heads,) added to the raw time steps.
        initial_states: (rows, heads, width, state) states before the first tokens; None for zeros.
        dt_softplus: apply softplus to the time steps.
        dt_limit: lowest and highest time step.
        return_final_states: whether the states after the last tokens are returned, too.
        options: options of other implementations, ignored.

    Returns:
        (rows, tokens, heads, width) float32; with final states also (rows, heads, width, state) float32.
    """
    count, length, heads, width = hidden_states.shape
    final = torch.empty(count, heads, width, B.shape[-1], device=hidden_states.device)
    x, dt, B, C = (part.flatten(0, 1)[None] for part in (hidden_states, dt, B, C))
    found = path_scan(
        tables_of_rows(count, length, str(x.device)),
        x,
        dt,
        A,
        B,
        C,
        D,
        dt_bias,
        dt_softplus=dt_softplus,
        dt_limit=dt_limit,
        rows=RowStates(initial_states, final),
    )[0].unflatten(0, (count, length))
    return (found, final) if return_final_states else found


@functools.lru_cache(maxsize=8)  # all layers of a pass have the same rows; they may be on several devices
def tables_of_rows(count: int, length: int, device: str) -> Tables:
    """The tables of rows of equal length; each row continues an initial state of its own."""
    of_row = -(-length // CHUNK)
    blocks = count * of_row
    row, place = np.divmod(np.arange(blocks), of_row)
    first = np.arange(count)
    chunks = np.concatenate([np.zeros(count), np.arange(blocks)])  # initial states have no block
    chains = np.stack([count + first * of_row, count + (first + 1) * of_row, first], axis=1)
    sources = np.where(place == 0, row, count + np.arange(blocks) - 1)
    edges = np.append(row * length + place * CHUNK, count * length)
    tokens = np.arange(count * length)
    arrays = ((tokens // length + 1) * length, edges, sources, chunks, chains.reshape(-1))
    ends, edge, source, chunk, chain = arrays_to_device([part.astype(np.int64) for part in arrays], device)
    return Tables(ends, ends[:0], edge, source, chunk, chain.view(-1, 3), ((0, count),))
