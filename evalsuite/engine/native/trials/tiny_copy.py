"""A tiny copy of a model's architecture with short limits, to try what lies beyond long limits.

The copy has the same configuration class with few layers of each kind, small widths, and windows, chunks and
blocks of a few tokens; its weights are random, and large enough for attention to matter.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from evalsuite.engine.native.probe.limits import BLOCKS, limits_of

if TYPE_CHECKING:
    from evalsuite.engine.native.loading.load import LoadedModel

SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 384,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
    "shared_intermediate_size": 32,
    "dense_intermediate_size": 96,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "n_embd": 64,
    "n_layer": 4,
    "n_head": 4,
    "d_model": 64,
    "ffn_dim": 96,
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 16,
    "index_head_dim": 16,
    "index_n_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "mamba_n_heads": 8,
    "mamba_d_head": 16,
    "mamba_d_state": 8,
    "mamba_num_heads": 8,
    "mamba_head_dim": 16,
    "ssm_state_size": 8,
    "intermediate_size_mlp": 96,
    "rotary_dim": 8,
    "first_k_dense_replace": 1,
    "max_window_layers": 1,
}
"""Largest values of a configuration's fields in the copy."""
LAYERS = 4
LIMIT = 24
"""Tokens of every limit in the copy."""
WEIGHT_SPREAD = 0.2
"""Standard deviation of the copy's weights."""


def tiny_copy(config: Any) -> "LoadedModel | None":
    """A tiny copy on the CPU in float32; None if the configuration class rejects the small values.

    Args:
        config: transformers' configuration of the model; for a container, its text model's is copied.
    """
    from transformers import AutoModelForCausalLM

    from evalsuite.engine.native.loading.load import ready

    text = config.get_text_config()
    try:
        small = type(text)(**_shrunk(text.to_dict()))
        model = AutoModelForCausalLM.from_config(small, dtype=torch.float32).eval()
    except Exception:  # Boundary: each configuration class has its own checks and errors.
        return None
    _make_wild(model)
    return ready(model, "cpu", window=getattr(small, "max_position_embeddings", None))


def _shrunk(fields: Mapping[str, Any]) -> dict[str, Any]:
    made = {
        name: value
        for name, value in fields.items()
        if name not in ("dtype", "torch_dtype", "quantization_config")
    }
    many = fields.get("num_attention_heads"), fields.get("num_key_value_heads")
    for name, smaller in SMALL.items():
        if isinstance(fields.get(name), int) and fields[name] > smaller:
            made[name] = smaller
    if many[0] == many[1] and "num_key_value_heads" in made:
        made["num_key_value_heads"] = made["num_attention_heads"]
    for name, value in fields.items():
        if isinstance(value, list) and len(value) == fields.get("num_hidden_layers"):
            made[name] = _of_each_kind(value)
    for name in limits_of(fields):
        if name in made:
            made[name] = LIMIT
    for count, size in BLOCKS:
        if count in made and size in made:
            made[count], made[size] = LIMIT // 4, 4
    made |= {name: None for name in fields if name.endswith("_token_id")}
    return made


def _of_each_kind(layers: list[Any]) -> list[Any]:
    """A few layers in their order, with every kind among them."""
    first = {str(kind): index for index, kind in reversed(list(enumerate(layers)))}
    chosen = sorted(first.values())[:LAYERS]
    others = [index for index in range(len(layers)) if index not in chosen]
    return [layers[index] for index in sorted([*chosen, *others[: LAYERS - len(chosen)]])]


def _make_wild(model: Any) -> None:
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2 or "norm" in name or "conv" in name:
                continue
            parameter.copy_(torch.randn(parameter.shape, generator=random) * WEIGHT_SPREAD)
