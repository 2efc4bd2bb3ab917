"""The chunks of a tree in waves, so that a GPU computes the states of many chunks in one launch.

A chunk's final state is its local state, which needs no other chunk, plus the decayed state of the chunk
that it continues. All local states are computed at once. Then states are passed on, wave after wave: the
chunks of a wave continue those of the wave before. At last all tokens read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from evalsuite.engine.native.transfer import arrays_to_device
from evalsuite.engine.planning.plan import Ints

STATES_AT_ONCE = 1 << 28
"""Numbers of states that are in memory at a time: 1 GiB."""


@dataclass(frozen=True, eq=False, slots=True)
class Readers:
    """Chunks whose states about equally many tokens read."""

    chunks: torch.Tensor
    """(n,) indices of the chunks."""
    positions: torch.Tensor
    """(n, length) tokens that read each state, padded with the last one."""
    real: torch.Tensor
    """(tokens,) indices into the flat `positions` without padding."""


@dataclass(frozen=True, eq=False, slots=True)
class Waves:
    """All chunks, wave after wave."""

    positions: torch.Tensor
    """(chunks, length) tokens of each chunk, padded with the last one."""
    padding: torch.Tensor
    """(chunks, length) bool."""
    passes: list[tuple[slice, torch.Tensor]]
    """For each wave after the first its chunks, and the chunk that each of them continues."""
    readers: list[Readers]


def waves_of(edges: Ints, before: Sequence[int], device: str) -> Waves | None:
    """The waves of a tree; None if no block continues another one.

    Args:
        edges: positions where blocks begin, and where the row ends.
        before: the block that each block continues, or -1; a block comes after the one that it continues.
        device: the device of the indices.
    """
    depths: dict[int, int] = {}
    for block in sorted({*before} - {-1}):
        depths[block] = depths.get(before[block], -1) + 1
    if not depths:
        return None
    chunks = sorted(depths, key=lambda block: (depths[block], block))
    index = {block: number for number, block in enumerate(chunks)}
    spans = [(int(edges[block]), int(edges[block + 1])) for block in range(len(before))]
    positions, padding = _padded([[*range(*spans[block])] for block in chunks])
    starts = np.searchsorted([depths[block] for block in chunks], range(1, depths[chunks[-1]] + 2))
    waves = [slice(int(start), int(stop)) for start, stop in pairwise(starts)]
    sources = [np.array([index[before[block]] for block in chunks[wave]]) for wave in waves]
    buckets = _buckets(before, index, spans)
    arrays = [
        positions,
        padding.astype(np.int64),
        *sources,
        *(array for bucket in buckets for array in bucket),
    ]
    shapes = [array.shape for array in arrays]
    flat = arrays_to_device([array.reshape(-1) for array in arrays], device)
    on_device = [array.view(shape) for array, shape in zip(flat, shapes, strict=True)]
    rest = on_device[2 + len(waves) :]
    readers = [Readers(*rest[start : start + 3]) for start in range(0, len(rest), 3)]
    passes = [*zip(waves, on_device[2 : 2 + len(waves)], strict=True)]
    return Waves(on_device[0], on_device[1].bool(), passes, readers)


def _buckets(
    before: Sequence[int], index: dict[int, int], spans: Sequence[tuple[int, int]]
) -> list[tuple[Ints, Ints, Ints]]:
    """The arrays of `Readers`; within a bucket, padding at most doubles the number of tokens."""
    tokens: dict[int, list[int]] = {}
    for block, source in enumerate(before):
        if source >= 0:
            tokens.setdefault(index[source], []).extend(range(*spans[block]))
    buckets: dict[int, list[int]] = {}
    for chunk in sorted(tokens):
        buckets.setdefault(len(tokens[chunk]).bit_length(), []).append(chunk)
    arrays = []
    for bucket in buckets.values():
        positions, padding = _padded([tokens[chunk] for chunk in bucket])
        arrays.append((np.array(bucket), positions, np.flatnonzero(~padding)))
    return arrays


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Ints, np.ndarray]:
    """(rows, longest) numbers, padded with each row's last one; and whether each is padding."""
    longest = max(map(len, rows))
    filled = np.array([[*row, *[row[-1]] * (longest - len(row))] for row in rows], np.int64)
    return filled, np.arange(longest) >= np.array([len(row) for row in rows])[:, None]


def add_reads(
    waves: Waves,
    written: torch.Tensor,
    sums: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    result: torch.Tensor,
) -> None:
    """Add to `result` the outputs of Mamba-2 from the initial state of each token's block.

    Args:
        waves: the waves of the tree.
        written: (tokens, heads, width) inputs times time steps.
        sums: (tokens, heads) float64 sums of decays since the beginning of the block.
        B: (tokens, groups, state).
        C: as `B`.
        result: (tokens, heads, width), changed in place.
    """
    groups, state = B.shape[1:]
    count, (_, heads, width) = len(waves.positions), written.shape
    of_group = heads // groups
    at_once = max(1, STATES_AT_ONCE // (count * state * of_group * width))
    for first in range(0, groups, at_once):
        some, own = slice(first, first + at_once), slice(first * of_group, (first + at_once) * of_group)
        states = _final_states(waves, written[:, own], sums[:, own], B[:, some])
        kept = sums[:, own].exp().float()
        for readers in waves.readers:
            read = C[readers.positions, some].transpose(1, 2) @ states[readers.chunks]
            read = read.transpose(1, 2).unflatten(-1, (-1, width)).flatten(2, 3)  # (n, length, heads, width)
            read = read * kept[readers.positions][..., None]
            tokens = readers.positions.flatten()[readers.real]
            result[:, own].index_add_(0, tokens, read.flatten(0, 1)[readers.real])


def _final_states(waves: Waves, written: torch.Tensor, sums: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """(chunks, groups, state, heads of a group x width) final states."""
    groups, width = B.shape[1], written.shape[2]
    positions = waves.positions
    totals = sums[positions[:, -1]]  # (chunks, heads)
    left = (totals[:, None] - sums[positions]).exp().float().masked_fill_(waves.padding[..., None], 0)
    inputs = (written[positions] * left[..., None]).unflatten(2, (groups, -1)).flatten(3)
    states: torch.Tensor = B[positions].permute(0, 2, 3, 1) @ inputs.transpose(1, 2)
    decays = totals.exp().float().repeat_interleave(width, dim=1).view(len(positions), groups, 1, -1)
    for wave, sources in waves.passes:
        states[wave].addcmul_(states[sources], decays[wave])
    return states
