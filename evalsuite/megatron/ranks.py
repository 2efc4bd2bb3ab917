"""Megatron's older checkpoints: a file of each tensor-parallel and pipeline-parallel rank.

`model_optim_rng.pt` holds the arguments of the training and the rank's part of the model, `model`, or
`model0`, `model1`, ... with interleaved (virtual) pipeline stages. The layers of each part are numbered from
0; the stages follow each other in the order of the parts, and within it of the ranks. Source: Megatron-LM,
`megatron/training/checkpointing.py`; Megatron-Core 0.16.1, `transformer/transformer_layer.py`
(`get_transformer_layer_offset`).
"""

import re
import zipfile
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import torch

from evalsuite.checkpoints.raw.stored import FilePart, Stored
from evalsuite.checkpoints.raw.torch_file import TorchFile
from evalsuite.errors import ModelError
from evalsuite.megatron.assemble import Sections, from_ranks
from evalsuite.megatron.folders import RANK, RANK_FILE, check_iteration, rank_folders
from evalsuite.megatron.names import Key, parse
from evalsuite.megatron.pickles import TrainingState, read_state

MODEL_PART = re.compile(r"model(\d*)")
Rank = tuple[int, int]
"""Pipeline rank and tensor rank."""


def ranks_state(path: Path) -> TrainingState:
    """The training's arguments and iteration; refuses a checkpoint without the files of all ranks.

    Raises:
        ModelError: a file is missing, cut off or damaged, or has objects that are not allowed.
    """
    files = rank_files(path)
    for file in files.values():
        if not zipfile.is_zipfile(file):
            raise ModelError(
                f"Checkpoint {path}: {file.parent.name}/{file.name} is not completely written, or damaged."
            )
    state, _ = _state(files[min(files)], path)
    for rank in _declared(state.arguments) or _up_to_the_highest(files):
        if rank not in files:
            raise ModelError(
                f"Checkpoint {path} lacks the file of tensor rank {rank[1]} and pipeline rank {rank[0]}."
            )
    check_iteration(path, state.iteration)
    return state


def rank_files(path: Path) -> dict[Rank, Path]:
    """The file of each rank; raises ModelError if there are experts' files, or none."""
    files = {}
    for name, folder in rank_folders(path).items():
        rank = RANK.fullmatch(name)
        assert rank
        if rank["expert"]:
            raise ModelError(
                f"Checkpoint {path} has a file of expert-parallel ranks, {name}: a mixture of experts cannot "
                "be read."
            )
        if (folder / RANK_FILE).is_file():
            files[int(rank["pipeline"] or 0), int(rank["tensor"])] = folder / RANK_FILE
    if (0, 0) not in files:
        raise ModelError(f"Checkpoint {path} has no {RANK_FILE} of the first rank.")
    return files


def _declared(arguments: Mapping[str, Any] | None) -> list[Rank] | None:
    """The ranks that the training had; None if its arguments do not say."""
    sizes = [(arguments or {}).get(f"{kind}_model_parallel_size") for kind in ("pipeline", "tensor")]
    if not all(isinstance(size, int) for size in sizes):
        return None
    pipeline, tensor = (range(int(size)) for size in sizes if size)
    return list(product(pipeline, tensor))


def _up_to_the_highest(files: Mapping[Rank, Path]) -> list[Rank]:
    pipeline, tensor = (range(max(rank[axis] for rank in files) + 1) for axis in (0, 1))
    return list(product(pipeline, tensor))


def _state(file: Path, path: Path) -> tuple[TrainingState, TorchFile]:
    try:
        part = FilePart.whole(file)
    except OSError as error:
        raise ModelError(f"Checkpoint {path} cannot be read: {error.strerror}.") from None
    return read_state(part, f"weights in {file}")


def rank_weights(path: Path, sections: Sections) -> tuple[dict[Key, Stored], list[str]]:
    """The weights by our names, and the names of tensors that neither a GPT nor a Mamba hybrid has.

    Raises:
        ModelError: the ranks do not fit together, or a file is damaged.
    """
    files = rank_files(path)
    states = {rank: _state(file, path) for rank, file in files.items()}
    if len({state.iteration for state, _ in states.values()}) > 1:
        raise ModelError(f"Checkpoint {path}: its ranks are of different iterations.")
    chunks = {rank: _chunks(content, files[rank]) for rank, (_, content) in states.items()}
    if len({tuple(each) for each in chunks.values()}) > 1:
        raise ModelError(f"Checkpoint {path}: its ranks hold different numbers of virtual pipeline stages.")
    stages, slices = (max(rank[axis] for rank in files) + 1 for axis in (0, 1))
    unknown: dict[str, None] = {}
    parts = [
        [_known(chunks[stage, tensor][chunk], unknown) for tensor in range(slices)]
        for chunk in chunks[0, 0]
        for stage in range(stages)
    ]
    return from_ranks(parts, f"Checkpoint {path}", sections), list(unknown)


def _known(tensors: Mapping[str, Stored], unknown: dict[str, None]) -> dict[str, Stored]:
    known = {}
    for name, stored in tensors.items():
        try:
            parse(name)
            known[name] = stored
        except KeyError:
            unknown[name] = None
    return known


def _chunks(file: TorchFile, path: Path) -> dict[int, dict[str, Stored]]:
    """The tensors of each part of the model, in the order of the parts."""
    numbers = sorted(
        int(match[1] or 0) for name in file.content if (match := MODEL_PART.fullmatch(str(name)))
    )
    found = {}
    for number in numbers:
        part = file.content.get(f"model{number}", file.content.get("model"))
        found[number] = dict(_tensors(part, file, path))
    if not found:
        raise ModelError(f"The weights in {path} have no entry 'model'.")
    return found


def _tensors(part: Any, file: TorchFile, path: Path) -> Iterator[tuple[str, Stored]]:
    if not isinstance(part, dict):
        raise ModelError(f"The weights in {path} are not a mapping of tensors.")
    for name, value in part.items():
        if isinstance(value, torch.Tensor):
            yield str(name), file.stored(value)
        elif isinstance(value, dict) and value:
            raise ModelError(
                f"The weights in {path} are those of Megatron's models before Megatron-Core ('{name}' holds "
                "further entries); only Megatron-Core's can be read."
            )
