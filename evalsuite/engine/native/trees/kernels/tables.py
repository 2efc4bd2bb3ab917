"""A packed tree in the form that the kernels of `conv` and `scan` read."""

from dataclasses import dataclass

import numpy as np
import torch

from evalsuite.engine.native.transfer import arrays_to_device
from evalsuite.engine.native.trees.kernels.chains import chains_of
from evalsuite.engine.native.trees.tree import Tree
from evalsuite.engine.native.trees.walk import blocks_of, parents_of


@dataclass(frozen=True, eq=False, slots=True)
class Tables:
    """The blocks of `trees.walk` and the chunks among them; the tensors are int64 on the device."""

    ends: torch.Tensor
    """(tokens,) position behind each token's last descendant."""
    parents: torch.Tensor
    """(tokens + 1,) as `Walk.parents`."""
    edges: torch.Tensor
    """(blocks + 1,) positions where blocks begin, and the end of the row."""
    sources: torch.Tensor
    """(blocks,) index of the chunk whose final state is the block's initial state, or -1."""
    chunks: torch.Tensor
    """(chunks,) the block of each chunk, chain after chain."""
    chains: torch.Tensor
    """(chains, 3): range of a chain in `chunks`; index of the chunk that it continues, or -1."""
    levels: tuple[tuple[int, int], ...]
    """Range in `chains` of each level, which continues only chunks of earlier levels."""


def tables_of(tree: Tree) -> Tables:
    """The tables of a tree; one transfer to its device."""
    edges, before = blocks_of(tree.pack)
    found = chains_of(before)
    index = {block: chunk for chunk, block in enumerate(found.chunks)}
    sources = [index.get(block, -1) for block in before]
    arrays = [np.array(part, np.int64).reshape(-1) for part in (sources, found.chunks, found.chains)]
    parents, edge, source, chunk, chain = arrays_to_device(
        [parents_of(tree.pack), edges, *arrays], str(tree.ids.device)
    )
    return Tables(tree.ends, parents, edge, source, chunk, chain.view(-1, 3), tuple(found.levels))
