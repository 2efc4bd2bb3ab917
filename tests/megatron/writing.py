"""Writes checkpoints as Megatron does: a file for each rank, or a distributed checkpoint."""

import io
import json
import pickle
import re
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

from tests.megatron.layout import Whole, wholes
from tests.megatron.models import arguments

ITERATION = 1000
LAYER = re.compile(r"decoder\.layers\.(\d+)\.(.*)")


@dataclass
class Training:
    """A model and how its training divided it."""

    model: torch.nn.Module
    tensor: int = 1
    pipeline: int = 1
    arguments: dict = field(init=False)
    """May be changed before the checkpoint is written, as `tensors`."""
    tensors: dict[str, Whole] = field(init=False)

    def __post_init__(self) -> None:
        self.arguments = arguments(self.model.config, self.tensor, self.pipeline)
        self.tensors = wholes(self.model, self.arguments["padded_vocab_size"])

    @property
    def depth(self) -> int:
        return self.model.config.num_hidden_layers


def write_ranks(
    folder: Path, training: Training, *, chunks: int = 1, named: Callable[[str], str] = str
) -> Path:
    """`mp_rank_*/model_optim_rng.pt`.

    Args:
        folder: the training's.
        training: what is written.
        chunks: virtual pipeline stages on each rank.
        named: another form of the names.
    """
    path = folder / f"iter_{ITERATION:07d}"
    for stage in range(training.pipeline):
        for rank in range(training.tensor):
            parts = [
                stage_tensors(training, chunk * training.pipeline + stage, training.pipeline * chunks, rank)
                for chunk in range(chunks)
            ]
            parts = [{named(name): tensor for name, tensor in part.items()} for part in parts]
            names = ["model"] if chunks == 1 else [f"model{chunk}" for chunk in range(chunks)]
            suffix = f"_{stage:03d}" if training.pipeline > 1 else ""
            home = path / f"mp_rank_{rank:02d}{suffix}"
            home.mkdir(parents=True)
            state = rank_state(training) | dict(zip(names, parts, strict=True))
            torch.save(state, home / "model_optim_rng.pt")
    return path


def stage_tensors(training: Training, stage: int, stages: int, rank: int) -> dict[str, torch.Tensor]:
    """What a rank of one pipeline stage holds, with layers numbered within the stage."""
    each = training.depth // stages
    found = {}
    for name, whole in training.tensors.items():
        layer = LAYER.fullmatch(name)
        if layer:
            if int(layer[1]) // each != stage:
                continue
            local = f"decoder.layers.{int(layer[1]) % each}.{layer[2]}"
        elif stage != (0 if name.startswith("embedding") else stages - 1):
            continue
        else:
            local = name
        found[local] = whole.on_rank(rank, training.tensor).clone()
    if stage == stages - 1 > 0 and "output_layer.weight" not in training.tensors:
        tied = training.tensors["embedding.word_embeddings.weight"]
        found["output_layer.weight"] = tied.on_rank(rank, training.tensor).clone()
    found["decoder.layers.0.mlp.linear_fc1._extra_state"] = io.BytesIO(b"scales")
    found["decoder.layers.0.mlp.linear_fc2._extra_state"] = torch.zeros(3, dtype=torch.uint8)
    found["output_layer._extra_state"] = None
    return found


def rank_state(training: Training) -> dict:
    """What a rank's file holds beside the model."""
    return {
        "args": Namespace(**training.arguments),
        "checkpoint_version": 3.0,
        "iteration": ITERATION,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(50, 50)}}, "param_groups": [{"lr": 3e-4}]},
        "rng_state": [{"random_rng_state": (3, (1, 2), None), "torch_rng_state": torch.get_rng_state()}],
    }


def write_distributed(
    folder: Path, training: Training, *, stacked: bool | None = None, split: bool = False
) -> Path:
    """A `torch_dist` checkpoint, written as by the ranks of the training.

    Args:
        folder: the training's.
        training: what is written.
        stacked: whether all layers are one tensor; by default as Megatron-Core does for the model.
        split: whether the halves of a gated MLP have names of their own.
    """
    hybrid = training.model.config.model_type == "nemotron_h"
    stacked = not hybrid if stacked is None else stacked
    checkpoint = Distributed(training)
    for name, whole in training.tensors.items():
        layer = LAYER.fullmatch(name)
        inside = int(layer[1]) if layer and stacked else None
        stored_name = f"decoder.layers.{layer[2]}" if layer and inside is not None else name
        checkpoint.add(stored_name, whole, inside, split)
    average = {
        f"optimizer.state.exp_avg.{name}": tensor for name, tensor in list(checkpoint.chunks.items())[:2]
    }
    checkpoint.chunks |= average
    path = folder / f"iter_{ITERATION:07d}"
    path.mkdir(parents=True)
    checkpoint.write(path)
    common = {
        "args": Namespace(**training.arguments),
        "checkpoint_version": 3.0,
        "iteration": ITERATION,
        "optimizer": {"param_groups": [{"lr": 3e-4}]},
    }
    torch.save(common, path / "common.pt")
    backend = {"sharded_backend": "torch_dist", "sharded_backend_version": 1, "common_backend": "torch"}
    (path / "metadata.json").write_text(json.dumps(backend | {"common_backend_version": 1}))
    return path


class Distributed:
    """A distributed checkpoint of PyTorch, in blocks as several ranks would write them."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.chunks: dict[str, list[tuple[tuple[int, ...], torch.Tensor, int]]] = {}
        """Offsets, values and the writing rank of each block, by tensor."""

    def add(self, name: str, whole: Whole, layer: int | None, split: bool) -> None:
        ranks = self.training.tensor if whole.axis is not None else 1
        fused = whole.pieces[0].letter in ("", "w") and not split
        start = 0
        for piece in whole.pieces:
            mark = "_" if piece.letter in ("w", "v") else "."
            key = name if fused or not piece.letter else f"{name}{mark}{piece.letter}"
            shape = (whole if fused else piece).tensor.shape
            self.shapes[key] = tuple(shape) if layer is None else (self.training.depth, *shape)
            axis = whole.axis or 0
            for rank, part in enumerate(piece.tensor.chunk(ranks, axis)):
                at = [0] * part.dim()
                at[axis] = start + rank * part.shape[axis]
                offsets = tuple(at) if layer is None else (layer, *at)
                values = part if layer is None else part[None]
                self.chunks.setdefault(key, []).append((offsets, values.contiguous().clone(), rank))
            start += len(piece.tensor) if fused else 0

    def write(self, path: Path) -> None:
        files: dict[str, io.BytesIO] = {}
        entries: dict = {"rng_state/shard_0_1": BytesStorageMetadata()}
        storage = {}
        for name, chunks in self.chunks.items():
            known = name.removeprefix("optimizer.state.exp_avg.")
            blocks = []
            for offsets, values, rank in chunks:
                file = files.setdefault(f"__{rank}_0.distcp", io.BytesIO())
                begin = file.tell()
                torch.save(values, held := io.BytesIO())
                file.write(held.getvalue())
                blocks.append(ChunkStorageMetadata(torch.Size(offsets), values.shape))
                storage[MetadataIndex(name, torch.Size(offsets))] = _StorageInfo(
                    f"__{rank}_0.distcp", begin, file.tell() - begin
                )
            properties = TensorProperties(dtype=chunks[0][1].dtype)
            entries[name] = TensorStorageMetadata(properties, torch.Size(self.shapes[known]), blocks)
        (path / ".metadata").write_bytes(pickle.dumps(Metadata(entries, storage_data=storage)))
        for name, file in files.items():
            (path / name).write_bytes(file.getvalue())
