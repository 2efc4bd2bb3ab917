"""A packed tree as the kernels of `conv` and `scan` read it."""

from dataclasses import dataclass

import numpy as np
import torch

from evalsuite.engine.native.transfer import arrays_to_device
from evalsuite.engine.native.trees.tree import Tree
from evalsuite.engine.native.trees.walk import parents_of, steps_of
from evalsuite.engine.planning.pack import Pack


@dataclass(frozen=True, eq=False, slots=True)
class Tables:
    """The blocks of `trees.walk`, and their chunks, as whole numbers on the device."""

    ends: torch.Tensor
    """(tokens,) position behind the last token that comes after each in some sequence."""
    parents: torch.Tensor
    """(tokens + 1,) as `Walk.parents`."""
    edges: torch.Tensor
    """(blocks + 1,) where blocks begin in the row, and its end."""
    chunks: torch.Tensor
    """(chunks, 5): block; slot of the state that it starts from, or -1; its own slot; its first entry in
    `readers`; and the one behind its last."""
    readers: torch.Tensor
    """Blocks, by the chunk that they go on from."""
    slots: int
    """States to be kept at a time."""


def tables_of(tree: Tree) -> Tables:
    """The tables of a tree; one transfer to its device."""
    pack: Pack = tree.pack
    edges, steps, slots = steps_of(pack)
    counts = [len(step.readers) for step in steps]
    lasts = np.cumsum([0, *counts])
    chunks = np.array(
        [
            (one.block, one.source, one.slot, first, first + count)
            for one, first, count in zip(steps, lasts.tolist(), counts, strict=False)
        ],
        np.int64,
    )
    readers = np.array([block for step in steps for block in step.readers], np.int64)
    there = arrays_to_device([parents_of(pack), edges, chunks.reshape(-1), readers], str(tree.ids.device))
    return Tables(tree.ends, there[0], there[1], there[2].view(-1, 5), there[3], slots)
