"""Checkpoints that are damaged, unfinished, hostile or of another kind: one sentence each, nothing left."""

import json
import os
import pickle
import shutil
from argparse import Namespace

import pytest
import torch

from evalsuite.checkpoints import model_folder, resolve
from evalsuite.errors import ModelError
from tests.megatron.layout import Piece, Whole
from tests.megatron.models import tiny
from tests.megatron.writing import Training, write_distributed, write_ranks

FC1 = "decoder.layers.2.mlp.linear_fc1.weight"


@pytest.fixture
def training():
    return Training(tiny("llama"), 2, 2)


@pytest.fixture
def config(config_folders):
    return config_folders["llama"]


@pytest.fixture
def refusal(config, tmp_path, own_cache):
    """Why a checkpoint is refused; what was begun in the cache is gone."""

    def why(path) -> str:
        with pytest.raises(ModelError) as caught:
            model_folder(resolve(str(path), model_config=str(config)))
        message = str(caught.value)
        assert "\n" not in message
        assert str(path) in message
        assert not list(own_cache.glob("megatron/*/model")) + list(own_cache.glob("megatron/*/.*"))
        return message

    return why


def flip(path, values: torch.Tensor) -> None:
    """Change one bit of a tensor in a file."""
    content = bytearray(path.read_bytes())
    content[content.index(values.numpy().tobytes()) + 7] ^= 1
    path.write_bytes(content)


def truncate(path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def test_a_missing_rank_is_named(tmp_path, training, refusal):
    path = write_ranks(tmp_path, training)
    shutil.rmtree(path / "mp_rank_01_001")
    assert "lacks the file of tensor rank 1 and pipeline rank 1" in refusal(path)


@pytest.mark.parametrize("folder", ["mp_rank_00_000", "mp_rank_01_001"])
@pytest.mark.parametrize("share", [0, 0.99])
def test_a_file_of_a_rank_that_is_half_written_is_named(tmp_path, training, refusal, folder, share):
    path = write_ranks(tmp_path, training)
    truncate(path / folder / "model_optim_rng.pt", share)
    assert f"{folder}/model_optim_rng.pt is not completely written" in refusal(path)


def test_one_wrong_bit_in_a_rank_is_noticed(tmp_path, training, refusal):
    path = write_ranks(tmp_path, training)
    flip(path / "mp_rank_01_001/model_optim_rng.pt", training.tensors[FC1].on_rank(1, 2))
    assert "mp_rank_01_001/model_optim_rng.pt are damaged" in refusal(path)


def test_one_wrong_bit_in_a_distributed_checkpoint_is_noticed(tmp_path, training, refusal):
    path = write_distributed(tmp_path, training)
    flip(path / "__1_0.distcp", training.tensors[FC1].on_rank(1, 2)[:24])
    assert "__1_0.distcp are damaged" in refusal(path)


@pytest.mark.parametrize("write", [write_distributed, write_ranks])
def test_files_without_checksums_are_read(tmp_path, training, config, write):
    computed = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        path = write(tmp_path, training)
    finally:
        torch.serialization.set_crc32_options(computed)
    assert model_folder(resolve(str(path), model_config=str(config))).is_dir()


@pytest.mark.parametrize("name", ["metadata.json", "common.pt", ".metadata", "__1_0.distcp"])
def test_a_missing_file_of_a_distributed_checkpoint_is_named(tmp_path, training, refusal, name):
    path = write_distributed(tmp_path, training)
    (path / name).unlink()
    assert f" {name}" in refusal(path)


@pytest.mark.parametrize("name", ["metadata.json", "common.pt", ".metadata", "__1_0.distcp"])
def test_a_file_of_a_distributed_checkpoint_that_is_cut_off_is_named(tmp_path, training, refusal, name):
    path = write_distributed(tmp_path, training)
    truncate(path / name)
    assert name in refusal(path)


def test_ranks_of_different_iterations_are_refused(tmp_path, training, refusal):
    path = write_ranks(tmp_path, training)
    file = path / "mp_rank_01_000/model_optim_rng.pt"
    torch.save(torch.load(file, weights_only=False) | {"iteration": 900}, file)
    assert "its ranks are of different iterations" in refusal(path)


@pytest.mark.parametrize("write", [write_distributed, write_ranks])
def test_a_missing_tensor_is_named(tmp_path, training, refusal, write):
    del training.tensors["decoder.layers.3.self_attention.linear_proj.weight"]
    if write is write_distributed:
        path = write(tmp_path, training, stacked=False)
    else:
        path = write(tmp_path, training)
    assert "lacks the tensor model.layers.3.self_attn.o_proj.weight" in refusal(path)


@pytest.mark.parametrize("write", [write_distributed, write_ranks])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("decoder.layers.0.mlp.router.weight", "mlp.router.weight"),
        (
            "decoder.layers.0.mlp.experts.local_experts.0.linear_fc1.weight",
            "local_experts.0.linear_fc1.weight",
        ),
        ("decoder.layers.0.self_attention.q_layernorm.weight", "model.layers.0.self_attn.q_norm.weight"),
        ("decoder.layers.0.mixer.A_log", "mamba.A_log of layer 0"),
        ("embedding.position_embeddings.weight", "embedding.position_embeddings.weight"),
        ("mtp.layers.0.eh_proj.weight", "mtp.layers.0.eh_proj.weight"),
    ],
)
def test_a_tensor_that_is_left_over_is_named(tmp_path, refusal, write, name, said):
    training = Training(tiny("llama"))
    training.tensors[name] = Whole((Piece("", torch.zeros(2, 8)),), None)
    message = refusal(write(tmp_path, training, **({"stacked": False} if write is write_distributed else {})))
    assert "has, unlike the model, the tensor" in message
    assert said in message


@pytest.mark.parametrize("write", [write_distributed, write_ranks])
@pytest.mark.parametrize(
    ("name", "rows", "said"),
    [
        ("mlp.linear_fc1.weight", 64, "mlp.gate_proj.weight of shape 32 x 32 instead of 48 x 32"),
        ("self_attention.linear_qkv.weight", 48, "qkv.weight of layer 1 has 48 rows"),
        ("self_attention.linear_proj.weight", 16, "o_proj.weight of shape 16 x 32 instead of 32 x 32"),
    ],
)
def test_a_tensor_of_another_shape_is_named(tmp_path, refusal, write, name, rows, said):
    training = Training(tiny("llama"))
    full = f"decoder.layers.1.{name}"
    training.tensors[full] = Whole((Piece("", torch.zeros(rows, 32)),), training.tensors[full].axis)
    path = write(tmp_path, training, **({"stacked": False} if write is write_distributed else {}))
    assert said in refusal(path)


class Hostile:
    """Its pickle would make a folder."""

    def __reduce__(self):
        return os.mkdir, (os.environ["MARK"],)


@pytest.mark.parametrize("name", ["common.pt", ".metadata", "mp_rank_00/model_optim_rng.pt"])
def test_a_pickle_that_would_run_code_is_refused(tmp_path, refusal, monkeypatch, name):
    mark = tmp_path / "owned"
    monkeypatch.setenv("MARK", str(mark))
    write = write_ranks if name.startswith("mp_rank") else write_distributed
    path = write(tmp_path, Training(tiny("llama")))
    if name == ".metadata":
        (path / name).write_bytes(pickle.dumps(Hostile()))
    else:
        content = torch.load(path / name, weights_only=False)
        torch.save(content | {"args": Namespace(note=Hostile())}, path / name)
    assert "refused" in refusal(path) or name == ".metadata"
    assert not mark.exists()


def test_the_folder_of_a_training_says_which_checkpoint_to_give(tmp_path, training, refusal):
    path = write_ranks(tmp_path, training)
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("1000")
    message = refusal(tmp_path)
    assert f"name one, for example {path}" in message
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("release")
    assert str(tmp_path / "release") in refusal(tmp_path)


def test_a_folder_named_after_another_iteration_is_refused(tmp_path, training, refusal):
    path = write_distributed(tmp_path, training)
    other = path.rename(tmp_path / "iter_0000900")
    assert "is named after another iteration than it holds, 1000" in refusal(other)


def test_kinds_of_checkpoints_that_cannot_be_read_are_named(tmp_path, training, refusal):
    path = write_distributed(tmp_path, training)
    (path / "metadata.json").write_text(json.dumps({"sharded_backend": "zarr"}))
    assert "of Megatron's kind zarr" in refusal(path)
    shutil.rmtree(path)
    path = write_ranks(tmp_path, training)
    (path / "mp_rank_00_000").rename(path / "mp_rank_00_000_000")
    assert "a mixture of experts cannot be read" in refusal(path)
    shutil.rmtree(path)
    path = write_ranks(tmp_path, Training(tiny("llama")))
    file = path / "mp_rank_00/model_optim_rng.pt"
    content = torch.load(file, weights_only=False)
    torch.save(content | {"model": {"language_model": content["model"]}}, file)
    assert "before Megatron-Core" in refusal(path)


def test_tied_embeddings_that_differ_are_refused(tmp_path, config_folders):
    training = Training(tiny("qwen3"), 1, 2)
    training.tensors["output_layer.weight"] = Whole((Piece("", torch.ones(384, 32)),), 0)
    path = write_ranks(tmp_path, training)
    with pytest.raises(ModelError, match="ties the two"):
        model_folder(resolve(str(path), model_config=str(config_folders["qwen3"])))


def test_a_virtual_stage_that_is_missing_is_noticed(tmp_path, training, refusal):
    path = write_ranks(tmp_path, training, chunks=2)
    file = path / "mp_rank_01_001/model_optim_rng.pt"
    content = torch.load(file, weights_only=False)
    del content["model1"]
    torch.save(content, file)
    assert "different numbers of virtual pipeline stages" in refusal(path)
