"""The order in which recurrent layers process a packed tree."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from evalsuite.engine.native.transfer import arrays_to_device
from evalsuite.engine.native.trees.blocks import Blocks, Stretch, bucketed, padded
from evalsuite.engine.native.trees.tree import Tree
from evalsuite.engine.native.trees.waves import Waves, waves_of
from evalsuite.engine.planning.pack import Pack
from evalsuite.engine.planning.plan import Ints

CHUNK = 64
"""Most tokens of a block: the work within a block grows with the square of its length."""

WEIGHTS_AT_ONCE = 1 << 20
"""Weights between tokens of blocks that are in memory at a time: so many fit into a CPU's caches."""
GPU_WEIGHTS_AT_ONCE = 1 << 26
"""The same on a GPU, where each launch costs time: 1 GiB with their float64 exponents."""


@dataclass(frozen=True, eq=False, slots=True)
class Chunk:
    """A block without branches that other blocks continue."""

    tokens: slice
    source: int | None
    """Slot of its initial state; None at the beginning of a sequence."""
    slot: int
    """Slot of its final state, until all blocks that continue it are done."""
    readers: torch.Tensor
    """(n,) positions of the tokens of the blocks that continue it."""


@dataclass(frozen=True, eq=False, slots=True)
class Walk:
    """A tree cut into blocks of at most `CHUNK` tokens: whole subtrees, and pieces of nodes."""

    blocks: list[tuple[Blocks, torch.Tensor]]
    """Blocks that contain each token once, with their `Tree.seen_in`."""
    chunks: list[Chunk]
    """In an order in which the states can be computed."""
    slots: int
    """Number of states that are stored at a time."""
    parents: torch.Tensor
    """(tokens + 1,) position of each token's parent; the position behind the row stands for no parent."""
    waves: Waves | None = None
    """The chunks in waves, for a device on which few launches matter more than memory; None on a CPU."""


@dataclass(frozen=True, slots=True)
class WalkStep:
    """A chunk in the plan, before the arrays are on a device."""

    block: int
    source: int
    """Slot of its initial state; -1 at the beginning of a sequence."""
    slot: int
    """Slot of its final state."""
    readers: list[int]
    """Blocks that continue it."""


def weights_at_once(device: torch.device) -> int:
    """How many weights a device computes at a time."""
    return WEIGHTS_AT_ONCE if device.type == "cpu" else GPU_WEIGHTS_AT_ONCE


def walk_of(tree: Tree) -> Walk:
    """Cut a tree into blocks and chunks on its device."""
    pack, device = tree.pack, str(tree.ids.device)
    edges, steps, slots = walk_steps(pack)
    stretches = [*pairwise(edges.tolist())]
    blocks = [
        padded(bucket, device)
        for bucket in bucketed([Stretch(start, stop, True) for start, stop in stretches])
    ]
    positions = [np.concatenate([np.arange(*stretches[block]) for block in step.readers]) for step in steps]
    parents, *readers = arrays_to_device([parents_of(pack), *positions], device)
    chunks = [
        Chunk(slice(*stretches[step.block]), None if step.source < 0 else step.source, step.slot, read)
        for step, read in zip(steps, readers, strict=True)
    ]
    waves = None if device == "cpu" else waves_of(*blocks_of(pack), device)
    return Walk([(group, tree.seen_in(group)) for group in blocks], chunks, slots, parents, waves)


def parents_of(pack: Pack) -> Ints:
    """`Walk.parents` as an array."""
    return np.append(np.where(pack.parents < 0, len(pack), pack.parents), len(pack))


def walk_steps(pack: Pack) -> tuple[Ints, list[WalkStep], int]:
    """Positions where blocks begin and the row ends; the chunks in order; and the number of slots."""
    edges, before = blocks_of(pack)
    steps = _steps(before)
    return edges, steps, max((step.slot for step in steps), default=-1) + 1


def blocks_of(pack: Pack) -> tuple[Ints, list[int]]:
    """Positions where blocks begin and the row ends; and the block that each block continues, or -1."""
    nodes = pack.nodes
    bounds = [0]
    before: list[int] = []
    last: dict[int, int] = {-1: -1}  # by node: the block at its end
    done = 0
    columns = (nodes.starts.tolist(), nodes.stops.tolist(), nodes.ends.tolist(), nodes.parents.tolist())
    for node, (start, stop, end, parent) in enumerate(zip(*columns, strict=True)):
        if start < done:
            continue
        done = end if end - start <= CHUNK else stop
        bounds += [*range(start + CHUNK, done, CHUNK), done]
        before += [last[parent], *range(len(before), len(bounds) - 2)]
        last[node] = len(before) - 1
    return np.array(bounds, np.int64), before


def _steps(before: list[int]) -> list[WalkStep]:
    """The chunks: blocks that other blocks continue.

    The last chunk that continues a chunk takes over its slot. Earlier ones take the next slot, which is free
    again before the next of them needs it.
    """
    readers: dict[int, list[int]] = {}
    for block, source in enumerate(before):
        readers.setdefault(source, []).append(block)
    read = sorted(readers.keys() - {-1})
    last = {before[block]: block for block in read}
    slots = {-1: -1}
    for block in read:
        source = before[block]
        slots[block] = slots[source] + (source < 0 or block != last[source])
    return [WalkStep(block, slots[before[block]], slots[block], readers[block]) for block in read]
