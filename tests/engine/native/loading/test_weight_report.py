"""Weights that the configuration does not have."""

import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM, Glm4MoeConfig, Glm4MoeForCausalLM

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.native.loading.load import load_model
from evalsuite.errors import ModelError
from tests.engine.tiny import BOS, EOS, VOCABULARY, save, tiny_gpt2, tiny_llama

OPTIONS = {"device": "cpu", "dtype": "float32", "trust_remote_code": False}


def load(folder):
    return load_model(ModelFiles("mine", folder), **OPTIONS)


def refusal(folder):
    with pytest.raises(ModelError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def add(folder, weights, form="model.safetensors"):
    """Add tensors to a model's weights, and keep these as another form if asked."""
    path = folder / "model.safetensors"
    together = {**load_file(path), **weights}
    path.unlink()
    if form.endswith(".bin"):
        torch.save(together, folder / form)
    else:
        save_file(together, folder / form, metadata={"format": "pt"})


def set_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def tiny_deepseek(kind=DeepseekV3ForCausalLM, config=DeepseekV3Config, **changes):
    torch.manual_seed(0)
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "moe_intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_rope_head_dim": 8,
        "v_head_dim": 8,
        "qk_nope_head_dim": 8,
        "head_dim": 8,
        "max_position_embeddings": 128,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
    }
    return kind(config(**{**sizes, **changes})).eval()


@pytest.mark.parametrize("form", ["model.safetensors", "pytorch_model.bin"])
def test_a_layer_that_the_configuration_does_not_have_is_named(tmp_path, form):
    add(save(tiny_llama(), tmp_path), {}, form)
    set_config(tmp_path, num_hidden_layers=1)
    message = refusal(tmp_path)
    assert "9 weights that the configuration does not have" in message
    assert "model.layers.1.input_layernorm.weight" in message


@pytest.mark.parametrize("experts", [2, 3])
def test_experts_that_the_configuration_does_not_have_are_named(tmp_path, experts):
    save(tiny_deepseek(), tmp_path)
    set_config(tmp_path, n_routed_experts=experts)
    assert "experts" in refusal(tmp_path) or "gate" in refusal(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "score.weight",
        "lm_head.bias",
        "model.layers.0.self_attn.q_proj.lora_A.weight",
        "model.norm.bias",
        "model.layers.0.self_attn.q_norm.weight",
        "model.layers.0.self_attn.q_proj.weight_scale",
    ],
)
def test_a_weight_of_another_architecture_is_named(tmp_path, name):
    add(save(tiny_llama(), tmp_path), {name: torch.ones(32)})
    assert name in refusal(tmp_path)


@pytest.mark.parametrize("form", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize(
    ("make", "name", "shape"),
    [
        (tiny_llama, "model.layers.0.self_attn.rotary_emb.inv_freq", (4,)),
        (tiny_gpt2, "transformer.h.0.attn.bias", (1, 1, 64, 64)),
        (tiny_gpt2, "transformer.h.1.attn.masked_bias", ()),
    ],
)
def test_buffers_of_older_versions_do_not_matter(tmp_path, make, name, shape, form):
    add(save(make(), tmp_path), {name: torch.ones(shape)}, form)
    assert load(tmp_path).notes == ()


def test_a_bias_of_attention_is_no_mask(tmp_path):
    name = "model.layers.0.self_attn.bias"
    add(save(tiny_llama(), tmp_path), {name: torch.ones(1, 1, 8, 8)})
    assert load(tmp_path).notes == ()
    add(tmp_path, {name: torch.ones(32)})
    assert name in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("mtp.layers.0.eh_proj.weight", "multi-token prediction"),
        ("model.mtp_layers.0.weight", "multi-token prediction"),
        ("v_head.summary.weight", "a value head"),
        ("model.layers.0.self_attn.k_scale", "scales of a quantised KV cache"),
    ],
)
def test_parts_that_no_logit_depends_on_are_said_to_be_unused(tmp_path, name, part):
    add(save(tiny_llama(), tmp_path), {name: torch.ones(1)})
    assert load(tmp_path).notes == (f"weights that are not used: {part} (1)",)


def test_towers_of_a_model_that_sees_are_unused_and_are_surplus_in_one_that_does_not(tmp_path):
    add(save(tiny_llama(), tmp_path), {"vision_tower.patch_embed.weight": torch.ones(3)})
    assert "vision_tower" in refusal(tmp_path)
    set_config(tmp_path, vision_config={"depth": 1})
    assert load(tmp_path).notes == ("weights that are not used: vision, audio or speech parts (1)",)


@pytest.mark.parametrize("layers", [2, 61])
def test_a_layer_behind_the_last_is_unused_only_where_it_predicts_further_tokens(tmp_path, layers):
    """DeepSeek-V3's 62nd layer is left out of transformers' report by its number, whatever is in it."""
    small = {
        "hidden_size": 8,
        "moe_intermediate_size": 4,
        "intermediate_size": 8,
        "first_k_dense_replace": layers,
    }
    save(tiny_deepseek(num_hidden_layers=layers, **small), tmp_path)
    add(tmp_path, {f"model.layers.{layers}.input_layernorm.weight": torch.ones(8)})
    assert f"model.layers.{layers}.input_layernorm.weight" in refusal(tmp_path)
    add(tmp_path, {f"model.layers.{layers}.eh_proj.weight": torch.ones(8, 16)})
    assert "multi-token prediction (2)" in load(tmp_path).notes[0]


def test_layers_that_another_size_of_the_family_leaves_out_are_surplus_here(tmp_path):
    """GLM-4.5 has 92 layers and its small one 46: transformers leaves out layer 46 of both."""
    model = tiny_deepseek(Glm4MoeForCausalLM, Glm4MoeConfig, num_hidden_layers=2)
    add(save(model, tmp_path), {"model.layers.46.input_layernorm.weight": torch.ones(32)})
    assert "model.layers.46.input_layernorm.weight" in refusal(tmp_path)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_weight_that_is_cut_is_named_with_both_shapes(tmp_path, data):
    save(tiny_llama(), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = data.draw(st.sampled_from(sorted(weights)))
    wanted = weights[name].shape
    add(tmp_path, {name: weights[name][:-1].clone()})
    message = refusal(tmp_path)
    shapes = [" x ".join(map(str, shape)) for shape in ((wanted[0] - 1, *wanted[1:]), wanted)]
    assert f"weight {name} has shape {shapes[0]} in" in message
    assert f"and {shapes[1]} by the configuration" in message


def test_a_vocabulary_of_another_size_names_every_weight_that_differs(tmp_path):
    save(tiny_llama(), tmp_path)
    set_config(tmp_path, vocab_size=400)
    assert "lm_head.weight has shape 260 x 32" in refusal(tmp_path)
    assert "(2 weights differ)" in refusal(tmp_path)
