"""The arguments of a training contradict a configuration, or they do not."""

import io
import json
import shutil
import sys
import types
from argparse import Namespace
from enum import Enum
from pathlib import PosixPath

import numpy
import pytest
import torch

from evalsuite.checkpoints import model_folder, resolve, weights_digest
from evalsuite.checkpoints.formats import format_of
from evalsuite.errors import ModelError
from tests.megatron.models import tiny
from tests.megatron.writing import Training, write_distributed, write_ranks


def refusal(training: Training, folder, config) -> str:
    path = write_distributed(folder, training)
    with pytest.raises(ModelError) as caught:
        model_folder(resolve(str(path), model_config=str(config)))
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


CONTRADICTIONS = {
    "num_layers": ("llama", 5, "num_hidden_layers = 4"),
    "hidden_size": ("llama", 64, "hidden_size = 32"),
    "ffn_hidden_size": ("qwen3", 64, "intermediate_size = 48"),
    "num_attention_heads": ("llama", 8, "num_attention_heads = 4"),
    "num_query_groups": ("llama", 4, "num_key_value_heads = 2"),
    "kv_channels": ("llama", 16, "head_dim = 8"),
    "norm_epsilon": ("llama", 1e-6, "rms_norm_eps = 1e-05"),
    "normalization": ("llama", "LayerNorm", "model_type = llama, which has RMSNorm"),
    "apply_layernorm_1p": ("nemotron", False, "model_type = nemotron, which stores norm weights around zero"),
    "swiglu": ("llama", False, "hidden_act = silu, with a gate"),
    "squared_relu": ("nemotron", False, "hidden_act = relu2, with no gate"),
    "untie_embeddings_and_output_weights": ("llama", False, "tie_word_embeddings = False"),
    "position_embedding_type": ("nemotron_h", "rope", "model_type = nemotron_h, which has no positions"),
    "rotary_base": ("llama", 10_000, "rope_theta = 500000.0"),
    "rotary_percent": ("nemotron", 1.0, "partial_rotary_factor = 0.5"),
    "use_rope_scaling": ("llama", True, "rope_type = default"),
    "rope_scaling_factor": ("llama 3.1", 4.0, "factor = 8.0"),
    "window_size": ("llama", (128, 0), "sliding_window = None"),
    "hybrid_override_pattern": ("nemotron_h", "MM-*M-", "the layers M-M*M-"),
    "mamba_state_dim": ("nemotron_h", 32, "ssm_state_size = 16"),
    "mamba_head_dim": ("nemotron_h", 16, "mamba_head_dim = 8"),
    "mamba_num_groups": ("nemotron_h", 4, "n_groups = 2"),
    "mamba_num_heads": ("nemotron_h", 16, "mamba_num_heads = 8"),
}


@pytest.mark.parametrize("argument", CONTRADICTIONS)
def test_a_contradiction_names_both_values(tmp_path, config_folders, argument):
    kind, value, said = CONTRADICTIONS[argument]
    training = Training(tiny(kind))
    training.arguments[argument] = value
    config = config_folders[kind]
    message = refusal(training, tmp_path, config)
    assert f"was trained with {argument} = {value}, but {config / 'config.json'} has {said}." in message


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_experts", 8),
        ("mtp_num_layers", 1),
        ("multi_latent_attention", True),
        ("rotary_interleaved", True),
        ("softmax_type", "learnable"),
        ("attention_output_gate", True),
        ("qk_l2_norm", True),
        ("use_mup", True),
    ],
)
def test_what_no_model_of_transformers_has_is_named(tmp_path, config_folders, argument, value):
    training = Training(tiny("llama"))
    training.arguments[argument] = value
    message = refusal(training, tmp_path, config_folders["llama"])
    assert f"was trained with {argument} = {value}; transformers' llama has nothing of the kind" in message


def test_scaled_positions_that_megatron_does_not_have_are_refused(tmp_path, config_folders):
    config = shutil.copytree(config_folders["llama"], tmp_path / "config")
    content = json.loads((config / "config.json").read_text())
    scaled = {"rope_type": "linear", "rope_theta": 500_000.0, "factor": 2.0}
    (config / "config.json").write_text(json.dumps(content | {"rope_parameters": scaled}))
    message = refusal(Training(tiny("llama")), tmp_path, config)
    assert "use_rope_scaling = False" in message
    assert "rope_parameters that Megatron does not have" in message


def test_a_configuration_with_what_the_training_did_not_have_is_refused(tmp_path, config_folders):
    """Neither scaling of positions nor windows are there in the arguments of an older Megatron."""
    training = Training(tiny("llama 3.1"))
    del training.arguments["use_rope_scaling"]
    message = refusal(training, tmp_path / "scaled", config_folders["llama 3.1"])
    assert "was trained with use_rope_scaling = False" in message
    config = shutil.copytree(config_folders["qwen3"], tmp_path / "config")
    content = json.loads((config / "config.json").read_text())
    window = {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 0}
    (config / "config.json").write_text(json.dumps(content | window | {"layer_types": None}))
    message = refusal(Training(tiny("qwen3")), tmp_path / "window", config)
    assert "was trained with window_size = None" in message
    assert "has sliding_window = 64" in message


def test_attention_without_groups_has_as_many_keys_as_heads(tmp_path, config_folders):
    """Megatron's default of --num-query-groups says nothing without --group-query-attention."""
    training = Training(tiny("llama"))
    training.arguments |= {"group_query_attention": False, "num_query_groups": 1}
    message = refusal(training, tmp_path, config_folders["llama"])
    assert "num_attention_heads = 4" in message
    assert "num_key_value_heads = 2" in message


def test_a_pattern_with_pipeline_stages_and_older_arguments_are_understood(tmp_path, config_folders):
    training = Training(tiny("nemotron_h"))
    training.arguments |= {"hybrid_layer_pattern": "M-M|*M-", "layernorm_epsilon": 1e-5}
    for name in ("norm_epsilon", "kv_channels", "apply_layernorm_1p"):
        del training.arguments[name]
    path = write_ranks(tmp_path, training)
    assert model_folder(resolve(str(path), model_config=str(config_folders["nemotron_h"]))).is_dir()


def test_a_checkpoint_without_arguments_is_read_if_nothing_has_to_be_guessed(tmp_path, config_folders):
    """Without them nobody knows what the padding of the vocabulary is."""
    config = shutil.copytree(config_folders["llama"], tmp_path / "config")
    path = write_distributed(tmp_path, Training(tiny("llama")))
    common = torch.load(path / "common.pt", weights_only=False)
    del common["args"]
    torch.save(common, path / "common.pt")
    files = resolve(str(path), model_config=str(config))
    with pytest.raises(ModelError, match=r"embeds 384 tokens, .* it does not say how it is padded"):
        model_folder(files)
    content = json.loads((config / "config.json").read_text())
    (config / "config.json").write_text(json.dumps(content | {"vocab_size": 384}))
    assert model_folder(files).is_dir()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"padded_vocab_size": 512}, "embeds 384 tokens, but was trained with padded_vocab_size = 512"),
        ({"make_vocab_size_divisible_by": 64}, "padding to a multiple of 64 adds fewer"),
    ],
)
def test_more_rows_than_padding_explains_are_refused(tmp_path, config_folders, changed, said):
    training = Training(tiny("llama"))
    training.arguments |= changed
    assert said in refusal(training, tmp_path, config_folders["llama"])


def test_other_architectures_are_refused_by_name(tmp_path, model):
    path = write_distributed(tmp_path, Training(tiny("llama")))
    config = shutil.copytree(model, tmp_path / "config", ignore=shutil.ignore_patterns("*.safetensors"))
    content = json.loads((config / "config.json").read_text())
    (config / "config.json").write_text(json.dumps(content | {"model_type": "gpt2"}))
    with pytest.raises(
        ModelError, match=r"\(gpt2\) cannot be read; those of llama, qwen3, nemotron, nemotron_h"
    ):
        resolve(str(path), model_config=str(config))


def test_objects_that_megatron_pickles_are_read_without_megatron(tmp_path, config_folders, monkeypatch):
    module = types.ModuleType("megatron.core.transformer.enums")
    backend = Enum("AttnBackend", {"auto": 5}, module=module.__name__)
    module.AttnBackend = backend
    for name in ("megatron", "megatron.core", "megatron.core.transformer"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    training = Training(tiny("llama"))
    training.arguments |= {
        "attention_backend": backend.auto,
        "data_path": PosixPath("/data"),
        "rng": numpy.random.RandomState(0).get_state(),
        "tensors": {"a": torch.zeros(2)},
        "inner": types.SimpleNamespace(a=1),
        "kernels": io.BytesIO(b"scales"),
    }
    for write in (write_distributed, write_ranks):
        path = write(tmp_path / write.__name__, training)
        with monkeypatch.context() as without:
            without.delitem(sys.modules, module.__name__)
            files = resolve(str(path), model_config=str(config_folders["llama"]))
            assert model_folder(files).is_dir()


def test_an_object_that_is_not_known_is_named(tmp_path, config_folders):
    training = Training(tiny("llama"))
    training.arguments["scheduler"] = Namespace(step=write_ranks)
    message = refusal(training, tmp_path, config_folders["llama"])
    assert "tests.megatron.writing.write_ranks" in message


def test_the_run_log_names_the_iteration_and_the_digest_depends_on_it(tmp_path, config_folders):
    config = config_folders["llama"]
    path = write_ranks(tmp_path, Training(tiny("llama")))
    files = resolve(str(path), model_config=str(config))
    assert format_of(files).notes(files) == ("Weights of iteration 1000 of a Megatron training.",)
    first = weights_digest(files)
    file = path / "mp_rank_00/model_optim_rng.pt"
    torch.save(torch.load(file, weights_only=False) | {"iteration": 2000}, file)
    other = path.rename(tmp_path / "iter_0002000")
    assert weights_digest(resolve(str(other), model_config=str(config))) != first


def test_the_files_of_the_optimizer_are_no_weights(tmp_path, config_folders):
    path = write_ranks(tmp_path, Training(tiny("llama"), 2))
    (path / "mp_rank_00/distrib_optim.pt").write_bytes(b"states")
    files = resolve(str(path), model_config=str(config_folders["llama"]))
    names = format_of(files).weight_files(files)
    assert set(names) == {f"mp_rank_{rank:02d}/model_optim_rng.pt" for rank in range(2)}
