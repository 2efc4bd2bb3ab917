"""A slot's bytes, told from the configuration alone, are those of the loaded model's cache."""

import pytest
import torch

from evalsuite.engine.native.slot_estimate import slot_needs
from evalsuite.engine.native.slots.capacity import slot_bytes
from evalsuite.engine.native.slots.forward import SlotModel
from tests.engine.native.decoders import DECODERS, decoder
from tests.engine.native.hybrids import HYBRIDS
from tests.engine.tiny import loaded

MLA = {
    "q_lora_rank": None,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 12,
    "num_key_value_heads": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
}
WITHOUT_GROUPS = ("opt, the head takes its decoder's states", "gpt_neox, rotates a part")
"""Their tiny configurations have a number of key-value heads only because all decoders are made alike."""
FAMILIES = {**DECODERS, **HYBRIDS, "deepseek_v2, MLA": lambda: decoder("DeepseekV2", **MLA)}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_configuration_tells_the_bytes_of_a_slot(family):
    model = FAMILIES[family]()
    config = model.config.to_dict()
    if family in WITHOUT_GROUPS:
        del config["num_key_value_heads"]
    found, needs = SlotModel.of(loaded(model)), slot_needs(config, "float32")
    assert [needs.of(tokens) for tokens in (1, 10)] == [slot_bytes(found, tokens) for tokens in (1, 10)]
    assert slot_bytes(found, 1) > 0


@pytest.mark.parametrize("family", ["llama", "nemotron_h", "qwen3_next", "mamba2"])
def test_states_and_on_a_cpu_keys_are_float32_also_in_bfloat16(family):
    model = FAMILIES[family]().to(torch.bfloat16)
    found, needs = SlotModel.of(loaded(model)), slot_needs(model.config.to_dict(), "bfloat16", "cpu")
    assert needs.of(10) == slot_bytes(found, 10)


@pytest.mark.parametrize(
    ("config", "kinds"),
    [
        ({"attn_layer_indices": [1], "num_hidden_layers": 3, "mamba_n_heads": 2}, (1, 2)),
        ({"full_attention_interval": 4, "num_hidden_layers": 8, "linear_num_key_heads": 1}, (2, 6)),
        ({"hybrid_override_pattern": "M-M*ME", "mamba_num_heads": 2}, (1, 3)),
        ({"hybrid_layer_ids": [2], "num_hidden_layers": 4, "n_mamba_heads": 2}, (1, 4)),
    ],
)
def test_layers_are_counted_in_the_fields_of_each_family(config, kinds):
    """As on the hub, where `layer_types` is missing."""
    shape = {"hidden_size": 64, "num_attention_heads": 1, "linear_num_value_heads": 1}
    needs = slot_needs({**shape, **config}, "bfloat16")
    attention, recurrent = kinds
    assert needs.a_token == attention * 2 * 64 * 2
    assert needs.states % recurrent == 0
    assert needs.states > 0
