"""The order in which recurrent layers go through a packed tree."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from evalsuite.engine.native.transfer import arrays_to_device
from evalsuite.engine.native.trees.blocks import Blocks, Stretch, bucketed, padded
from evalsuite.engine.native.trees.tree import Tree
from evalsuite.engine.planning.pack import Pack
from evalsuite.engine.planning.plan import Ints

CHUNK = 64
"""Tokens of a block at most: within one, work grows with the square of its length."""


@dataclass(frozen=True, eq=False, slots=True)
class Chunk:
    """A block without branches that other blocks go on from."""

    tokens: slice
    source: int | None
    """Slot of the state that it starts from; None at the beginning of a sequence."""
    slot: int
    """Where the state behind its last token is kept until nothing goes on from it."""
    readers: torch.Tensor
    """(n,) positions of the tokens of the blocks that go on from it."""


@dataclass(frozen=True, eq=False, slots=True)
class Walk:
    """A tree cut into blocks of at most `CHUNK` tokens: whole subtrees, and pieces of nodes."""

    blocks: list[tuple[Blocks, torch.Tensor]]
    """Each token once, with `Tree.seen_in` of the blocks."""
    chunks: list[Chunk]
    """In an order in which states can be computed."""
    slots: int
    """States to be kept at a time."""
    parents: torch.Tensor
    """(tokens + 1,) positions of the tokens before each; the one behind the row stands for none."""


@dataclass(frozen=True, slots=True)
class WalkStep:
    """A chunk before anything is on a device."""

    block: int
    source: int
    """Slot of the state that it starts from; -1 at the beginning of a sequence."""
    slot: int
    readers: list[int]
    """Blocks that go on from it."""


def walk_of(tree: Tree) -> Walk:
    """Cut a tree; on its device."""
    pack, device = tree.pack, str(tree.ids.device)
    edges, steps, slots = steps_of(pack)
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
    return Walk([(one, tree.seen_in(one)) for one in blocks], chunks, slots, parents)


def parents_of(pack: Pack) -> Ints:
    """`Walk.parents`."""
    return np.append(np.where(pack.parents < 0, len(pack), pack.parents), len(pack))


def steps_of(pack: Pack) -> tuple[Ints, list[WalkStep], int]:
    """Where blocks begin, and the end of the row; the chunks in their order; and how many slots they take."""
    stretches, before = _cut(pack)
    steps = _steps(before)
    edges = np.array([0, *(stop for _, stop in stretches)], np.int64)
    return edges, steps, max((step.slot for step in steps), default=-1) + 1


def _cut(pack: Pack) -> tuple[list[tuple[int, int]], list[int]]:
    """Blocks by start and stop, in the order of the row; and the block that each goes on from, or -1."""
    nodes = pack.nodes
    stretches: list[tuple[int, int]] = []
    before: list[int] = []
    last: dict[int, int] = {-1: -1}  # block at the end of each node
    done = 0
    columns = (nodes.starts, nodes.stops, nodes.ends, nodes.parents)
    for node, (start, stop, end, parent) in enumerate(zip(*(one.tolist() for one in columns), strict=True)):
        if start < done:
            continue
        done = end if end - start <= CHUNK else stop
        edges = [*range(start, done, CHUNK), done]
        stretches += pairwise(edges)
        before += [last[parent], *range(len(before), len(stretches) - 1)]
        last[node] = len(stretches) - 1
    return stretches, before


def _steps(before: list[int]) -> list[WalkStep]:
    """The blocks that others go on from.

    The last one that goes on from a chunk takes its slot, the ones before that the next slot, which is free
    again by the time that the next of them comes.
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
