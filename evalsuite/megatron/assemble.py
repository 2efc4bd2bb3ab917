"""Puts the whole tensors of a model together from what the ranks of a training wrote."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

from evalsuite.checkpoints.raw.stored import BlockedTensor, Stored, joined, joined_in_sections
from evalsuite.errors import ModelError
from evalsuite.megatron.names import FUSED_PARTS, SPLIT_AXIS, Key, Name, in_words, parse

Sections = Mapping[str, tuple[int, ...]]
"""By fused tensor: how its rows divide into sections that tensor parallelism cuts one by one, as relative
sizes. Each rank holds its share of every section."""


def from_blocks(tensors: Iterable[tuple[str, BlockedTensor]]) -> dict[Key, Stored]:
    """The weights of a distributed checkpoint; layers are numbered within the model.

    Raises:
        KeyError: no GPT and no Mamba hybrid has a tensor of this name, or a part of a fused one is missing.
    """
    whole: dict[Key, Stored] = {}
    parts: dict[Key, dict[str, Stored]] = {}
    for text, tensor in tensors:
        name = parse(text)
        if name is None:
            continue
        entries = enumerate(tensor.entries) if name.stacked else [(name.layer, tensor.stored)]
        for layer, stored in entries:
            key = (name.tensor, layer)
            if name.part:
                parts.setdefault(key, {})[name.part] = stored
            else:
                whole[key] = stored
    return whole | {key: _joined_parts(key, found) for key, found in parts.items()}


def _joined_parts(key: Key, found: Mapping[str, Stored]) -> Stored:
    for part in FUSED_PARTS[key[0]]:
        if part not in found:
            raise KeyError(f"part {part} of {in_words(key)}")
    return joined([found[part] for part in FUSED_PARTS[key[0]]], 0)


def from_ranks(
    stages: Sequence[Sequence[Mapping[str, Stored]]], what: str, sections: Sections | None = None
) -> dict[Key, Stored]:
    """The weights of a model whose ranks each wrote their own tensors.

    A tensor that tensor parallelism does not cut is taken from the first rank.

    Args:
        stages: for each pipeline stage, in the order of their layers, the tensors of its tensor ranks.
        what: the checkpoint, for messages, for example "Checkpoint /training/iter_0001000".
        sections: of fused tensors.

    Raises:
        KeyError: as in `from_blocks`.
        ModelError: the ranks do not hold the same tensors, or a stage lacks a layer.
    """
    whole: dict[Key, Stored] = {}
    first_layer = 0
    for ranks in stages:
        named = [_named(rank) for rank in ranks]
        for name, stored in _joined_ranks(named, what, sections or {}).items():
            layer = None if name.layer is None else first_layer + name.layer
            whole.setdefault((name.tensor, layer), stored)
        first_layer += _layers(named[0], what)
    return whole


def _named(tensors: Mapping[str, Stored]) -> dict[Name, Stored]:
    return {name: stored for text, stored in tensors.items() if (name := parse(text))}


def _layers(named: Mapping[Name, Stored], what: str) -> int:
    """How many layers a stage has."""
    numbers = {name.layer for name in named if name.layer is not None}
    if lacking := set(range(len(numbers))) - numbers:
        raise ModelError(f"{what} lacks the tensors of layer {min(lacking)} of a pipeline stage.")
    return len(numbers)


def _joined_ranks(parts: list[dict[Name, Stored]], what: str, sections: Sections) -> dict[Name, Stored]:
    """Tensors of a pipeline stage, joined from its tensor ranks; layers are numbered within the stage."""
    names = dict.fromkeys(itertools.chain(*parts))
    for name, part in itertools.product(names, parts):
        if name not in part or name.stacked or name.part:
            words = in_words((name.tensor, name.layer))
            raise ModelError(f"{what}: its ranks do not hold the same tensors ({words}).")
    return {name: _joined_tensor(name, [part[name] for part in parts], what, sections) for name in parts[0]}


def _joined_tensor(name: Name, parts: Sequence[Stored], what: str, sections: Sections) -> Stored:
    if len(parts) == 1 or name.tensor not in SPLIT_AXIS:
        return parts[0]
    axis = SPLIT_AXIS[name.tensor]
    if len({(part.shape[:axis], part.shape[axis + 1 :], part.dtype) for part in parts}) > 1:
        words = in_words((name.tensor, name.layer))
        raise ModelError(f"{what}: its ranks hold parts of {words} that do not fit together.")
    if name.tensor not in sections:
        return joined(parts, axis)
    sizes, rows = sections[name.tensor], parts[0].shape[axis]
    if any(size * rows % sum(sizes) for size in sizes):
        words = in_words((name.tensor, name.layer))
        raise ModelError(
            f"{what}: the {rows} rows of {words} on each rank do not divide as its configuration says "
            f"({' + '.join(map(str, sizes))} in {len(parts)} ranks)."
        )
    return joined_in_sections(parts, axis, [size * rows // sum(sizes) for size in sizes])
