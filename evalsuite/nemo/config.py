"""NeMo's model settings as the `config.json` of transformers' Nemotron architecture.

Sources: NeMo 1, `examples/nlp/language_modeling/conf/megatron_gpt_config.yaml` (names, defaults);
transformers 5.23, `configuration_nemotron.py`. A setting that changes the model and that this architecture
does not have is refused by name.
"""

from collections.abc import Mapping
from typing import Any

from evalsuite.errors import ModelError

REQUIRED: Mapping[str, tuple[tuple[Any, ...], Any]] = {
    "normalization": (("layernorm1p",), "layernorm"),
    "activation": (("squared-relu",), "gelu"),
    "position_embedding_type": (("rope",), "learned_absolute"),
    "transformer_block_type": (("pre_ln",), "pre_ln"),
    "rotary_interleaved": ((False, None), False),
    "seq_len_interpolation_factor": ((None, 1, 1.0), None),
    "megatron_legacy": ((False, None), False),
    "multi_query_attention": ((False, None), False),
    "headscale": ((False, None), False),
    "normalize_attention_scores": ((True, None), True),
    "qk_layernorm": ((False, None), False),
    "parallel_attention": ((False, None), False),
    "window_size": ((None,), None),
    "num_moe_experts": ((None, 0, 1), None),
    "apply_embedding_scaling": ((False, None), False),
    "scale_positional_embedding": ((False, None), False),
    "virtual_pipeline_model_parallel_size": ((None, 1), None),
    "pipeline_model_parallel_split_rank": ((None, 0), None),
}
"""By setting: the values that transformers' Nemotron supports, and NeMo's default."""


def nemotron_config(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """`config.json` without what only weights and tokenizer tell: vocabulary, data type, special tokens.

    Args:
        name: of the model, for messages.
        settings: the archive's `model_config.yaml`.

    Raises:
        ModelError: another architecture, or a missing setting.
    """
    _check_kind(name, settings)
    heads = _number(name, settings, "num_attention_heads")
    width = _number(name, settings, "hidden_size")
    biased = settings.get("bias", True) is not False
    groups = settings.get("num_query_groups") or heads
    head_width = settings.get("kv_channels") or width // heads
    share = settings.get("rotary_percentage", 1.0)
    if not isinstance(groups, int) or heads % groups:
        raise ModelError(f"Model '{name}' has {heads} attention heads in {groups} groups.")
    return {
        "architectures": ["NemotronForCausalLM"],
        "model_type": "nemotron",
        "hidden_act": "relu2",
        "hidden_size": width,
        "intermediate_size": _number(name, settings, "ffn_hidden_size"),
        "num_hidden_layers": _number(name, settings, "num_layers"),
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "head_dim": head_width,
        "max_position_embeddings": _number(name, settings, "max_position_embeddings"),
        "norm_eps": float(settings.get("layernorm_epsilon", 1e-5)),
        "initializer_range": float(settings.get("init_method_std", 0.02)),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": float(settings.get("rotary_base", 10000)),
            "partial_rotary_factor": float(share),
        },
        "attention_bias": biased,
        "mlp_bias": biased,
        "tie_word_embeddings": settings.get("share_embeddings_and_output_weights", True) is not False,
        "use_cache": True,
    }


def _check_kind(name: str, settings: Mapping[str, Any]) -> None:
    kind = str(settings.get("target") or "").rpartition(".")[2]
    if kind and "GPT" not in kind:
        raise ModelError(
            f"Model '{name}' is a NeMo {kind}; only GPT models with Nemotron's layers can be loaded."
        )
    for setting, (allowed, default) in REQUIRED.items():
        value = settings.get(setting, default)
        if value not in allowed:
            raise ModelError(
                f"Model '{name}' cannot be loaded: transformers' Nemotron has no {setting} = {value} "
                f"(it has {allowed[0]})."
            )


def _number(name: str, settings: Mapping[str, Any], setting: str) -> int:
    value = settings.get(setting)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(
            f"Model '{name}': its model_config.yaml gives {setting} as {value!r}, not as a number."
        )
    return value
