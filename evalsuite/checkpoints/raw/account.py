"""Every tensor of a raw checkpoint is accounted for: none is missing, left over, or of another shape."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from evalsuite.checkpoints.raw.stored import Stored
from evalsuite.checkpoints.raw.target import ModelTensors, TensorSpec
from evalsuite.errors import ModelError

BUFFERS = re.compile(
    r"(^|\.)((original_)?inv_freq|(cos|sin)_cached|freqs_cis|masked_bias|causal_mask|scale_attn|position_ids"
    r"|embed_positions\.weights)$"
)
"""Tensors that some versions store, although they follow from the configuration."""
NAMED = 3
"""So many tensors are named in a message; the others are counted."""
WIDTHS = frozenset({torch.float64, torch.float32, torch.float16, torch.bfloat16})
"""Data types of weights; 8-bit floating-point numbers need scales to mean anything."""


def account(
    tensors: ModelTensors,
    found: Mapping[str, Stored],
    left_over: Collection[str] = (),
    *,
    checkpoint: Path,
    config_folder: Path,
) -> dict[str, Stored]:
    """What `found` holds for each tensor of the model, in the order of the model.

    A second copy of a shared tensor (tied embeddings) is compared with the first when that is read. Buffers
    that follow from the configuration, such as rotary frequencies, may be there and are not used.

    Args:
        tensors: the model's.
        found: the checkpoint's tensors by the model's name for them.
        left_over: the checkpoint's own names of tensors that are no tensor of any such model.
        checkpoint: for messages.
        config_folder: for messages.

    Raises:
        ModelError: one sentence that names what is missing, left over, or of another shape or kind of type.
    """
    kept = _without_copies(tensors, found, checkpoint)
    missing = [name for name in tensors.specs if name not in kept]
    others = [*left_over, *(name for name in kept if name not in tensors.specs)]
    surplus = [name for name in others if not BUFFERS.search(name)]
    wrong = [
        difference
        for name, spec in tensors.specs.items()
        if name in kept and (difference := _difference(name, kept[name], spec))
    ]
    problems = [*_named("lacks", missing), *_named("has, unlike the model,", surplus), *_counted(wrong)]
    if problems:
        raise ModelError(
            f"Checkpoint {checkpoint} is not of the model in {config_folder}: it {'; it '.join(problems)}."
        )
    return {name: kept[name] for name in tensors.specs}


def _without_copies(
    tensors: ModelTensors, found: Mapping[str, Stored], checkpoint: Path
) -> dict[str, Stored]:
    """`found` under the first names of shared tensors."""
    kept = {name: stored for name, stored in found.items() if name not in tensors.shared}
    for second, first in tensors.shared.items():
        if second in found:
            copy = found[second]
            kept[first] = _equal(first, kept[first], second, copy, checkpoint) if first in kept else copy
    return kept


def _equal(first: str, stored: Stored, second: str, copy: Stored, checkpoint: Path) -> Stored:
    """`stored`, which is compared with its copy each time that it is read."""
    differ = ModelError(
        f"Checkpoint {checkpoint} holds other values in {second} than in {first}, but its configuration ties "
        "the two (tie_word_embeddings)."
    )
    if copy.shape != stored.shape:
        raise differ

    def read() -> torch.Tensor:
        values = stored.read()
        if not torch.equal(values, copy.read()):
            raise differ
        return values

    return Stored(stored.shape, stored.dtype, read)


def _difference(name: str, stored: Stored, spec: TensorSpec) -> str:
    if stored.shape != spec.shape:
        return f"has {name} of shape {_shape(stored.shape)} instead of {_shape(spec.shape)}"
    if spec.floating != (stored.dtype in WIDTHS):
        expected = "a floating-point type" if spec.floating else "an integer type"
        return f"has {name} as {str(stored.dtype).removeprefix('torch.')} instead of {expected}"
    return ""


def _shape(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes)) or "a single number"


def _named(verb: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        noun = "the tensor" if len(names) == 1 else f"{len(names)} tensors:"
        yield f"{verb} {noun} {', '.join(names[:NAMED])}{more}"


def _counted(differences: Sequence[str]) -> Iterator[str]:
    if differences:
        more = f" ({len(differences)} tensors differ)" if len(differences) > 1 else ""
        yield f"{differences[0]}{more}"
