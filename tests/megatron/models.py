"""Tiny models of transformers, and the arguments with which Megatron would have trained them."""

import functools
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    NemotronConfig,
    NemotronHConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3Config,
)

from tests.engine.tiny import VOCABULARY, save

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "tie_word_embeddings": False,
}
PATTERN = "M-M*M-"
MULTIPLE = 128
"""Megatron pads the vocabulary to a multiple of so many tokens on each rank."""


def rope(base: float, share: float = 1.0) -> dict:
    return {"rope_type": "default", "rope_theta": base, "partial_rotary_factor": share}


def configurations() -> dict[str, PreTrainedConfig]:
    hybrid = {name: value for name, value in SIZES.items() if name != "num_hidden_layers"}
    mamba = {"ssm_state_size": 16, "mamba_head_dim": 8, "mamba_num_heads": 8, "n_groups": 2}
    return {
        "llama": LlamaConfig(**SIZES, rms_norm_eps=1e-5, rope_parameters=rope(500_000.0)),
        "llama, one group, tied": LlamaConfig(
            **SIZES | {"num_key_value_heads": 1, "tie_word_embeddings": True}, rope_parameters=rope(10_000.0)
        ),
        "llama 3.1": LlamaConfig(
            **SIZES | {"max_position_embeddings": 16384},
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 500_000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            },
        ),
        "qwen3": Qwen3Config(**SIZES | {"tie_word_embeddings": True}, rope_parameters=rope(1_000_000.0)),
        "nemotron": NemotronConfig(**SIZES, norm_eps=1e-5, rope_parameters=rope(10_000.0, 0.5)),
        "nemotron_h": NemotronHConfig(**hybrid, hybrid_override_pattern=PATTERN, **mamba),
    }


KINDS = tuple(configurations())


@functools.cache
def tiny(kind: str, seed: int = 0) -> PreTrainedModel:
    """A model in which every tensor has values of its own, norms included; shared, so do not change it."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(configurations()[kind]).eval()
    for parameter in model.parameters():
        parameter.data.copy_(0.3 * torch.randn_like(parameter) + 0.5 * (parameter.dim() == 1))
    return model


def config_folder(kind: str, folder: Path) -> Path:
    """Configuration and tokenizer of a model, without its weights."""
    save(tiny(kind), folder)
    (folder / "model.safetensors").unlink()
    return folder


def arguments(config: PreTrainedConfig, tensor: int = 1, pipeline: int = 1) -> dict:
    """The arguments of the training by Megatron's names, as far as they are compared, and some more."""
    kind = config.model_type
    gpt = kind != "nemotron_h"
    unit = MULTIPLE * tensor
    found = {
        "num_layers": len(PATTERN) if kind == "nemotron_h" else config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "ffn_hidden_size": config.intermediate_size,
        "num_attention_heads": config.num_attention_heads,
        "group_query_attention": True,
        "num_query_groups": config.num_key_value_heads,
        "kv_channels": config.head_dim,
        "norm_epsilon": getattr(config, "rms_norm_eps", getattr(config, "norm_eps", 1e-5)),
        "normalization": "LayerNorm" if kind == "nemotron" else "RMSNorm",
        "apply_layernorm_1p": kind == "nemotron",
        "swiglu": kind in ("llama", "qwen3"),
        "squared_relu": kind not in ("llama", "qwen3"),
        "untie_embeddings_and_output_weights": not config.tie_word_embeddings,
        "position_embedding_type": "rope" if gpt else "none",
        "rotary_interleaved": False,
        "rotary_base": 10_000,
        "rotary_percent": 1.0,
        "make_vocab_size_divisible_by": MULTIPLE,
        "padded_vocab_size": -(-config.vocab_size // unit) * unit,
        "tensor_model_parallel_size": tensor,
        "pipeline_model_parallel_size": pipeline,
        "num_experts": None,
        "params_dtype": torch.bfloat16,
        "lr": 3e-4,
        "save": "/training",
    }
    if gpt:
        rope_parameters = config.rope_parameters
        found |= {
            "rotary_base": int(rope_parameters["rope_theta"]),
            "rotary_percent": rope_parameters.get("partial_rotary_factor", 1.0),
            "use_rope_scaling": rope_parameters["rope_type"] == "llama3",
            "rope_scaling_factor": rope_parameters.get("factor", 8.0),
        }
    else:
        found |= {
            "hybrid_override_pattern": PATTERN,
            "mamba_state_dim": config.ssm_state_size,
            "mamba_head_dim": config.mamba_head_dim,
            "mamba_num_groups": config.n_groups,
            "mamba_num_heads": config.mamba_num_heads,
        }
    return found
