"""Weights of an archive, in any of NeMo's namings and any division among training ranks."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path

from evalsuite.checkpoints.raw.stored import FilePart, Stored, joined
from evalsuite.checkpoints.raw.torch_file import tensors_in
from evalsuite.errors import ModelError
from evalsuite.nemo.archive import ArchiveMember, NemoArchive
from evalsuite.nemo.names import SPLIT_AXIS, Key, Name, parse


def weights_of(archive: NemoArchive, plain: Path) -> dict[Key, Stored]:
    """Every weight by name and layer; none is read yet.

    Args:
        archive: the content of the archive.
        plain: its decompressed tar.

    Raises:
        ModelError: damaged weights, a missing rank, or tensors that a GPT with Nemotron's layers lacks.
    """
    if archive.ranks:
        return _from_ranks(archive, plain)
    from evalsuite.nemo.distributed import distributed_weights

    files = {name: _part(plain, member) for name, member in archive.distributed.items()}
    return distributed_weights(files, archive)


def _part(plain: Path, member: ArchiveMember) -> FilePart:
    return FilePart(plain, member.offset, member.size)


def named(tensors: Mapping[str, Stored], what: str) -> dict[Name, Stored]:
    """Tensors by parsed name; raises ModelError for one that a GPT with Nemotron's layers does not have."""
    try:
        return {name: stored for text, stored in tensors.items() if (name := parse(text))}
    except KeyError as error:
        raise ModelError(
            f"The weights in {what} have a tensor that transformers' Nemotron does not: {error.args[0]}."
        ) from None


def _from_ranks(archive: NemoArchive, plain: Path) -> dict[Key, Stored]:
    stages, slices = (max(rank[axis] for rank in archive.ranks) + 1 for axis in (0, 1))
    for pp, tp in product(range(stages), range(slices)):
        if (pp, tp) not in archive.ranks:
            raise ModelError(
                f"Model archive {archive.path} lacks the weights of tensor rank {tp} and pipeline rank {pp}."
            )
    whole: dict[Key, Stored] = {}
    first_layer = 0
    for pp in range(stages):
        parts = [
            named(
                tensors_in(_part(plain, archive.ranks[pp, tp]), f"weights in {archive.path}"),
                str(archive.path),
            )
            for tp in range(slices)
        ]
        for name, stored in _joined_slices(parts, archive.path).items():
            layer = None if name.layer is None else first_layer + name.layer
            whole.setdefault((name.tensor, layer), stored)
        first_layer += len({name.layer for name in parts[0] if name.layer is not None})
    return whole


def _joined_slices(parts: list[dict[Name, Stored]], path: Path) -> dict[Name, Stored]:
    """Tensors of a pipeline stage, joined from its tensor ranks; layers are numbered within the stage."""
    for name, part in product(parts[0], parts):
        if name not in part or name.stacked or part.keys() != parts[0].keys():
            raise ModelError(f"Model archive {path}: its ranks do not hold the same tensors ({name.tensor}).")
    return {
        name: joined([part[name] for part in parts], SPLIT_AXIS[name.tensor])
        if name.tensor in SPLIT_AXIS
        else first
        for name, first in parts[0].items()
    }
