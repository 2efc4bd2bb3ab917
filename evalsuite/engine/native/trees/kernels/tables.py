"""A packed tree in the form that the kernels of `conv` and `scan` read."""

from dataclasses import dataclass

import numpy as np
import torch

from evalsuite.engine.native.transfer import arrays_to_device
from evalsuite.engine.native.trees.tree import Tree
from evalsuite.engine.native.trees.walk import parents_of, walk_steps
from evalsuite.engine.planning.pack import Pack


@dataclass(frozen=True, eq=False, slots=True)
class Tables:
    """The blocks and chunks of `trees.walk` as int64 tensors on the device."""

    ends: torch.Tensor
    """(tokens,) position behind each token's last descendant."""
    parents: torch.Tensor
    """(tokens + 1,) as `Walk.parents`."""
    edges: torch.Tensor
    """(blocks + 1,) positions where blocks begin, and the end of the row."""
    chunks: torch.Tensor
    """(chunks, 5): block; slot of its initial state or -1; slot of its final state; range in `readers`."""
    readers: torch.Tensor
    """Blocks, ordered by the chunk that they continue."""
    slots: int
    """Number of states that are stored at a time."""


def tables_of(tree: Tree) -> Tables:
    """The tables of a tree; one transfer to its device."""
    pack: Pack = tree.pack
    edges, steps, slots = walk_steps(pack)
    counts = [len(step.readers) for step in steps]
    lasts = np.cumsum([0, *counts])
    chunks = np.array(
        [
            (step.block, step.source, step.slot, first, first + count)
            for step, first, count in zip(steps, lasts.tolist(), counts, strict=False)
        ],
        np.int64,
    )
    readers = np.array([block for step in steps for block in step.readers], np.int64)
    arrays = [parents_of(pack), edges, chunks.reshape(-1), readers]
    parents, edge, chunk, reader = arrays_to_device(arrays, str(tree.ids.device))
    return Tables(tree.ends, parents, edge, chunk.view(-1, 5), reader, slots)
