"""What the tests write has the names, shapes and blocks that Megatron-Core itself gives such models.

`megatron_core.json` was recorded from Megatron-Core 0.16.1 on four processes (two tensor ranks, two pipeline
ranks) with PyTorch 2.13 on CPU: `dist_checkpointing.save` of `GPTModel` and `MambaModel`, and their
`state_dict_for_save_checkpoint` on the first and the last rank. The GPT models were of the local spec,
without Transformer Engine; in the Mamba hybrid stand-ins took the place of its fused layers and of
mamba_ssm's norm.
"""

import json
from pathlib import Path

import pytest
import torch

from evalsuite.megatron.names import parse
from tests.megatron.layout import local_name
from tests.megatron.models import tiny
from tests.megatron.writing import LAYER, Distributed, Training, stage_tensors

RECORDED = json.loads(Path(__file__).with_name("megatron_core.json").read_text("utf-8"))


def training(kind: str) -> Training:
    made = Training(tiny(kind), 2, 2)
    made.tensors.setdefault("output_layer.weight", made.tensors["embedding.word_embeddings.weight"])
    return made


def blocks_of(made: Training, *, stacked: bool, split: bool = False) -> dict:
    checkpoint = Distributed(made)
    for name, whole in made.tensors.items():
        layer = LAYER.fullmatch(name) if stacked else None
        inside = int(layer[1]) if layer else None
        checkpoint.add(f"decoder.layers.{layer[2]}" if layer else name, whole, inside, split)
    return {
        name: [list(checkpoint.shapes[name]), sorted([list(at), list(part.shape)] for at, part, _ in chunks)]
        for name, chunks in checkpoint.chunks.items()
    }


@pytest.mark.parametrize("kind", RECORDED)
def test_distributed_checkpoints_are_laid_out_as_by_megatron_core(kind):
    assert blocks_of(training(kind), stacked=kind != "nemotron_h") == RECORDED[kind]["distributed"]


def test_single_layers_are_laid_out_as_by_megatron_core():
    blocks = blocks_of(training("llama"), stacked=False, split=True)
    recorded = RECORDED["llama"]["split"]
    assert {name: blocks[name] for name in recorded} == recorded
    assert recorded.keys() == {name for name in blocks if ".0." in name}


@pytest.mark.parametrize("kind", RECORDED)
@pytest.mark.parametrize(("rank", "stage"), [(0, 0), (1, 1)])
def test_ranks_hold_what_they_hold_in_megatron_core(kind, rank, stage):
    tensors = stage_tensors(training(kind), stage, 2, rank)
    name = (lambda name: name) if kind == "nemotron_h" else local_name
    ours = {
        name(text): list(tensor.shape)
        for text, tensor in tensors.items()
        if isinstance(tensor, torch.Tensor) and "_extra_state" not in text
    }
    assert ours == RECORDED[kind][f"mp_rank_{rank:02d}_{stage:03d}"]


def test_every_recorded_name_is_known():
    for kind, sections in RECORDED.items():
        for tensors in sections.values():
            assert all(parse(name) for name in tensors), kind
