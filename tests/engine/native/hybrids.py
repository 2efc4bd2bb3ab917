"""Tiny random hybrids of every family whose recurrent layers walk trees, each with its own details switched
on."""

from collections.abc import Callable

import torch
import transformers

from evalsuite.engine.native.models.nemotron_h import restore_time_step_limit
from tests.engine.tiny import BOS, EOS, VOCABULARY

COMMON = {"vocab_size": VOCABULARY, "bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": BOS}
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
SCAN = {
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_d_state": 16,
    "mamba_n_groups": 2,
    "mamba_chunk_size": 8,
}
DELTA = {
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 12,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
LAYERS = ["linear_attention", "linear_attention", "full_attention", "linear_attention"]


def hybrid(name: str, *, spread: float = 0.3, **options: object) -> torch.nn.Module:
    """A model of transformers' classes `<name>Config` and `<name>ForCausalLM`.

    Every parameter is random: steps, decays, skips, biases and norms that begin as ones or zeros would hide a
    head, a group or a channel that is taken for another. With a spread too wide for its depth a model makes
    so much of a last digit that transformers' own chunk sizes differ by more than the tests allow.
    """
    torch.manual_seed(0)
    model_class = getattr(transformers, f"{name}ForCausalLM")
    model = model_class(model_class.config_class(**{**COMMON, **SHAPE, **options})).eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith("dt_bias"):
                parameter.uniform_(-6, 1)
            elif parameter.ndim == 1:
                parameter.uniform_(-1, 1.5)
            else:
                parameter.normal_(0, spread)
    assert model.config.vocab_size == VOCABULARY
    return model


def nemotron_h(**options: object) -> torch.nn.Module:
    defaults = {
        "hybrid_override_pattern": "M-M*M-",
        "head_dim": 8,
        "ssm_state_size": 16,
        "mamba_num_heads": 8,
        "mamba_head_dim": 8,
        "n_groups": 2,
        "chunk_size": 8,
    }
    model = hybrid("NemotronH", **{**defaults, **options})
    restore_time_step_limit(model)
    return model


HYBRIDS: dict[str, Callable[[], torch.nn.Module]] = {
    "nemotron_h": nemotron_h,
    "nemotron_h, limited steps, no convolution bias": lambda: nemotron_h(
        time_step_limit=(0.05, 0.5), use_conv_bias=False
    ),
    "nemotron_h, experts": lambda: nemotron_h(
        hybrid_override_pattern="ME*ME",
        n_routed_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        moe_shared_expert_intermediate_size=32,
    ),
    "mamba2": lambda: hybrid(
        "Mamba2",
        num_hidden_layers=2,
        num_heads=8,
        head_dim=8,
        state_size=16,
        n_groups=2,
        chunk_size=8,
        conv_kernel=3,
    ),
    "bamba": lambda: hybrid("Bamba", **SCAN, num_hidden_layers=3, attn_layer_indices=[1]),
    "zamba2": lambda: hybrid(
        "Zamba2",
        spread=0.15,
        num_key_value_heads=4,
        num_hidden_layers=6,
        layers_block_type=["mamba", "hybrid"] * 3,
        num_mem_blocks=2,
        adapter_rank=4,
        use_shared_attention_adapter=True,
        use_mem_rope=True,
        mamba_d_state=16,
        mamba_headdim=8,
        n_mamba_heads=8,
        mamba_ngroups=2,
        chunk_size=8,
    ),
    "granitemoehybrid": lambda: hybrid(
        "GraniteMoeHybrid",
        **SCAN,
        num_hidden_layers=3,
        layer_types=["mamba", "attention", "mamba"],
        num_local_experts=4,
        num_experts_per_tok=2,
        shared_intermediate_size=32,
        logits_scaling=2.0,
        residual_multiplier=0.7,
        embedding_multiplier=3.0,
        attention_multiplier=0.4,
        position_embedding_type="rope",
    ),
    "falcon_h1, gate beside the norm": lambda: hybrid(
        "FalconH1",
        **SCAN,
        num_hidden_layers=2,
        mamba_d_ssm=64,
        head_dim=8,
        mamba_rms_norm=True,
        mamba_norm_before_gate=False,
        ssm_in_multiplier=0.6,
        ssm_multipliers=[0.5, 1.5, 0.7, 1.2, 0.9],
        lm_head_multiplier=0.5,
        key_multiplier=0.8,
    ),
    "lfm2, convolutions": lambda: hybrid(
        "Lfm2",
        num_hidden_layers=3,
        layer_types=["conv", "full_attention", "conv"],
        conv_L_cache=4,
        conv_bias=True,
    ),
    "qwen3_next": lambda: hybrid(
        "Qwen3Next",
        **DELTA,
        num_hidden_layers=4,
        layer_types=LAYERS,
        head_dim=8,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
    ),
    "qwen3_5": lambda: hybrid("Qwen3_5", **DELTA, num_hidden_layers=4, layer_types=LAYERS, head_dim=8),
    "olmo_hybrid": lambda: hybrid(
        "OlmoHybrid",
        **{**DELTA, "linear_num_key_heads": 4},
        num_hidden_layers=4,
        layer_types=LAYERS,
        num_key_value_heads=4,
    ),
    "kimi_linear": lambda: hybrid(
        "KimiLinear",
        num_hidden_layers=4,
        layer_types=LAYERS,
        mlp_layer_types=["dense", "sparse", "sparse", "dense"],
        num_key_value_heads=4,
        kv_lora_rank=16,
        q_lora_rank=None,
        qk_rope_head_dim=8,
        qk_nope_head_dim=8,
        v_head_dim=12,
        linear_conv_kernel_dim=4,
        linear_head_dim=8,
        linear_num_heads=4,
        n_routed_experts=4,
        num_experts=4,
        num_experts_per_tok=2,
        num_experts_per_token=2,
        num_expert_group=1,
        topk_group=1,
        n_group=1,
        moe_intermediate_size=32,
        num_shared_experts=1,
        model_max_length=256,
    ),
    "falcon_h1, no norm": lambda: hybrid(
        "FalconH1", **SCAN, num_hidden_layers=2, mamba_d_ssm=64, head_dim=8, mamba_rms_norm=False
    ),
}
