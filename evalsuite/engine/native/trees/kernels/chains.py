"""The chunks of a tree as chains, each of which one program walks.

A chunk's final state needs that of the chunk which it continues. A chain is a path of chunks; the chains of a
level continue chunks of earlier levels only, so that all of them are walked at once, by one launch.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chains:
    """The chunks, chain after chain, and the chains, level after level."""

    chunks: list[int]
    """The block of each chunk."""
    chains: list[tuple[int, int, int]]
    """Range of each chain in `chunks`; and the index in `chunks` of the chunk that it continues, or -1."""
    levels: list[tuple[int, int]]
    """Range of each level in `chains`."""


def chains_of(before: Sequence[int]) -> Chains:
    """Cut the chunks into as few levels of chains as possible.

    A chain goes on with the child that needs the most levels. A child with fewer begins a chain of the next
    level, so that a level more takes twice the chunks without children: 16,000 tokens of MMLU or HellaSwag
    make 2 to 4 levels.

    Args:
        before: for each block the block that it continues, or -1; a block comes after the one it continues.
    """
    chunks = sorted({*before} - {-1})
    children: dict[int, list[int]] = {chunk: [] for chunk in chunks}
    for chunk in chunks:
        if before[chunk] >= 0:
            children[before[chunk]].append(chunk)
    needed: dict[int, tuple[int, int]] = {}  # levels below a chunk, and the length of its longest path
    successor: dict[int, int] = {}
    for chunk in reversed(chunks):
        ordered = sorted(((needed[child], child) for child in children[chunk]), reverse=True)
        levels = max([depth + (place > 0) for place, ((depth, _), _) in enumerate(ordered[:2])], default=0)
        needed[chunk] = levels, 1 + max((length for (_, length), _ in ordered), default=0)
        if ordered:
            successor[chunk] = ordered[0][1]
    return _numbered(before, chunks, successor)


def _numbered(before: Sequence[int], chunks: Sequence[int], successor: dict[int, int]) -> Chains:
    by_level: list[list[list[int]]] = []
    level_of: dict[int, int] = {}
    for chunk in chunks:
        source = before[chunk]
        if chunk in level_of:
            continue
        level = 0 if source < 0 else level_of[source] + 1
        chain = [chunk]
        while chain[-1] in successor:
            chain.append(successor[chain[-1]])
        level_of |= dict.fromkeys(chain, level)
        by_level += [[] for _ in range(level + 1 - len(by_level))]
        by_level[level].append(chain)
    found = Chains([], [], [])
    index = {-1: -1}
    for chains in by_level:
        found.levels.append((len(found.chains), len(found.chains) + len(chains)))
        for chain in chains:
            first = len(found.chunks)
            found.chunks.extend(chain)
            found.chains.append((first, len(found.chunks), index[before[chain[0]]]))
            index |= {chunk: first + place for place, chunk in enumerate(chain)}
    return found
