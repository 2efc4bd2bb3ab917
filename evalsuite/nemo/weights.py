"""Weights of an archive, in any of NeMo's namings and any division among training ranks."""

from itertools import product
from pathlib import Path

from evalsuite.checkpoints.raw.stored import FilePart, Stored
from evalsuite.checkpoints.raw.torch_file import tensors_in
from evalsuite.errors import ModelError
from evalsuite.megatron.assemble import from_ranks
from evalsuite.megatron.names import Key
from evalsuite.nemo.archive import ArchiveMember, NemoArchive


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


def _from_ranks(archive: NemoArchive, plain: Path) -> dict[Key, Stored]:
    stages, slices = (max(rank[axis] for rank in archive.ranks) + 1 for axis in (0, 1))
    for pp, tp in product(range(stages), range(slices)):
        if (pp, tp) not in archive.ranks:
            raise ModelError(
                f"Model archive {archive.path} lacks the weights of tensor rank {tp} and pipeline rank {pp}."
            )
    what = f"weights in {archive.path}"
    tensors = [
        [tensors_in(_part(plain, archive.ranks[pp, tp]), what) for tp in range(slices)]
        for pp in range(stages)
    ]
    try:
        return from_ranks(tensors, f"Model archive {archive.path}")
    except KeyError as error:
        raise ModelError(
            f"The {what} have a tensor that transformers' Nemotron does not: {error.args[0]}."
        ) from None
