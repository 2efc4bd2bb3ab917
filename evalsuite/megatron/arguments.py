"""Compares the arguments of a training with the configuration that its weights are loaded with.

Weights fit a configuration by their shapes alone, but a wrong rotary base, norm or activation fits, too.
Sources: Megatron-LM of August 2026, `megatron/training/arguments.py`; Megatron-Core 0.16.1,
`transformer/transformer_config.py`. An argument that a Megatron of another age does not have is not compared.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evalsuite.errors import ModelError
from evalsuite.megatron.families import ModelFamily, head_width, layer_pattern

Arguments = Mapping[str, Any]
ArgumentDemand = tuple[str, Any, Any, str]
"""An argument, its value, the value that the configuration demands, and the configuration's words for it."""

UNSUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "num_experts": (None, 0),
    "mtp_num_layers": (None, 0),
    "multi_latent_attention": (False, None),
    "rotary_interleaved": (False, None),
    "rotary_seq_len_interpolation_factor": (None, 1),
    "softmax_type": ("vanilla", None),
    "softmax_scale": (None,),
    "attention_output_gate": (False, None),
    "qk_l2_norm": (False, None),
    "openai_gelu": (False, None),
    "quick_geglu": (False, None),
    "glu_linear_offset": (0.0, None),
    "activation_func_clamp_value": (None,),
    "no_rope_freq": (None, 0),
    "experimental_attention_variant": (None,),
    "heterogeneous_layers_config_path": (None,),
    "heterogeneous_layers_config_encoded_json": (None, ""),
    "apply_residual_connection_post_layernorm": (False, None),
    "use_mup": (False, None),
    "enable_mhc_connections": (False, None),
}
"""Arguments that change the model, and the values with which transformers' models compute the same."""
WITHOUT: Mapping[str, Any] = {"use_rope_scaling": False, "window_size": None}
"""Arguments whose absence says something: what a training without them had."""
MAMBA_EPSILON = 1e-5
"""Of the gated norm in Megatron's Mamba layers, whatever the arguments (`ssm/mamba_mixer.py`)."""
LLAMA3_SCALING = {"low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}
"""Megatron's constants of `--use-rope-scaling` (`models/common/embeddings/rotary_pos_embedding.py`)."""


def check_arguments(arguments: Arguments, config: Any, family: ModelFamily, what: str, folder: Path) -> None:
    """Refuse a configuration that contradicts the training.

    Args:
        arguments: Megatron's.
        config: transformers' configuration object.
        family: of its `model_type`.
        what: the checkpoint, for messages.
        folder: of the configuration, for messages.

    Raises:
        ModelError: names an argument and a setting with both values.
    """
    for name, allowed in UNSUPPORTED.items():
        if arguments.get(name, allowed[0]) not in allowed:
            raise ModelError(
                f"{what} was trained with {name} = {arguments[name]}; transformers' {config.model_type} has "
                "nothing of the kind."
            )
    for argument, trained, demanded, words in _comparisons(arguments, config, family):
        if not _equal(trained, demanded):
            raise ModelError(
                f"{what} was trained with {argument} = {trained}, but {folder / 'config.json'} has {words}."
            )


def check_padding(rows: int, vocabulary: int, arguments: Arguments | None, what: str, folder: Path) -> None:
    """Refuse more rows of the embedding than padding of the vocabulary explains.

    Args:
        rows: of the embedding.
        vocabulary: tokens by the configuration.
        arguments: Megatron's, if they were stored.
        what: the checkpoint, for messages.
        folder: of the configuration, for messages.

    Raises:
        ModelError: names both numbers.
    """
    padded = (arguments or {}).get("padded_vocab_size")
    if isinstance(padded, int) and padded != rows:
        raise ModelError(f"{what} embeds {rows} tokens, but was trained with padded_vocab_size = {padded}.")
    multiple = (arguments or {}).get("make_vocab_size_divisible_by")
    ranks = (arguments or {}).get("tensor_model_parallel_size")
    unit = multiple * ranks if isinstance(multiple, int) and isinstance(ranks, int) else 1
    if rows - vocabulary >= unit:
        reason = (
            f"padding to a multiple of {unit} adds fewer" if unit > 1 else "it does not say how it is padded"
        )
        raise ModelError(
            f"{what} embeds {rows} tokens, but {folder / 'config.json'} has vocab_size = {vocabulary}, and "
            f"{reason}: give the configuration of this model."
        )


def _equal(trained: Any, demanded: Any) -> bool:
    if isinstance(trained, float) and isinstance(demanded, int | float):
        return math.isclose(trained, demanded, rel_tol=1e-9)
    return bool(trained == demanded)


def _comparisons(arguments: Arguments, config: Any, family: ModelFamily) -> Iterator[ArgumentDemand]:
    """All that can be compared; an argument that is absent or None mostly decides nothing."""
    for argument, demanded, words in _demands(arguments, config, family):
        trained = arguments.get(argument)
        if trained is None and argument not in WITHOUT:
            continue
        yield argument, WITHOUT[argument] if trained is None else trained, demanded, words


def _demands(arguments: Arguments, config: Any, family: ModelFamily) -> Iterator[tuple[str, Any, str]]:
    def setting(name: str) -> tuple[Any, str]:
        value = getattr(config, name, None)
        return value, f"{name} = {value}"

    kind = f"model_type = {config.model_type}"
    tied, groups, activation = (
        config.tie_word_embeddings,
        config.num_key_value_heads,
        setting(family.activation),
    )
    yield "hidden_size", *setting("hidden_size")
    yield "ffn_hidden_size", *setting("intermediate_size")
    yield "num_attention_heads", *setting("num_attention_heads")
    yield "kv_channels", head_width(config), f"head_dim = {head_width(config)}"
    if arguments.get("group_query_attention", True):
        yield "num_query_groups", groups, f"num_key_value_heads = {groups}"
    else:
        yield "num_attention_heads", groups, f"num_key_value_heads = {groups}"
    for argument in ("norm_epsilon", "layernorm_epsilon"):
        yield argument, *setting(family.epsilon)
    yield "normalization", family.normalization, f"{kind}, which has {family.normalization}"
    for argument in ("apply_layernorm_1p", "layernorm_zero_centered_gamma"):
        centred = "around zero" if family.zero_centered else "around one"
        yield argument, family.zero_centered, f"{kind}, which stores norm weights {centred}"
    gate = "a gate" if family.gated else "no gate"
    yield "swiglu", family.gated and activation[0] == "silu", f"{activation[1]}, with {gate}"
    yield "squared_relu", not family.gated and activation[0] == "relu2", f"{activation[1]}, with {gate}"
    yield "untie_embeddings_and_output_weights", not tied, f"tie_word_embeddings = {tied}"
    yield "window_size", *setting("sliding_window")
    pattern = layer_pattern(config)
    yield from _positions(config, family) if pattern is None else _hybrid(arguments, config, pattern, setting)


def _positions(config: Any, family: ModelFamily) -> Iterator[tuple[str, Any, str]]:
    """Depth and rotary position embeddings of a GPT."""
    yield "num_layers", config.num_hidden_layers, f"num_hidden_layers = {config.num_hidden_layers}"
    yield "position_embedding_type", family.position, f"{family.position} positions"
    rope = config.rope_parameters
    kind = rope.get("rope_type", "default")
    yield "rotary_base", rope["rope_theta"], f"rope_theta = {rope['rope_theta']}"
    share = rope.get("partial_rotary_factor", 1.0)
    yield "rotary_percent", share, f"partial_rotary_factor = {share}"
    scaled = kind == "llama3" and all(rope.get(name) == value for name, value in LLAMA3_SCALING.items())
    if kind != "default" and not scaled:
        yield "use_rope_scaling", kind, f"rope_parameters that Megatron does not have, {rope}"
    yield "use_rope_scaling", scaled, f"rope_type = {kind}"
    if scaled:
        yield "rope_scaling_factor", rope["factor"], f"factor = {rope['factor']}"


def _hybrid(
    arguments: Arguments, config: Any, pattern: str, setting: Callable[[str], tuple[Any, str]]
) -> Iterator[tuple[str, Any, str]]:
    """Layers of a Mamba hybrid; its attention has no positions."""
    yield "position_embedding_type", "none", f"model_type = {config.model_type}, which has no positions"
    for argument in ("hybrid_override_pattern", "hybrid_layer_pattern"):
        written = str(arguments.get(argument) or "").replace("|", "")
        yield argument, arguments.get(argument) if written == pattern else pattern, f"the layers {pattern}"
    yield "mamba_state_dim", *setting("ssm_state_size")
    yield "mamba_head_dim", *setting("mamba_head_dim")
    yield "mamba_num_groups", *setting("n_groups")
    yield "mamba_num_heads", *setting("mamba_num_heads")
    for argument in ("norm_epsilon", "layernorm_epsilon"):
        yield (
            argument,
            MAMBA_EPSILON,
            f"one {setting('layer_norm_epsilon')[1]} for all norms of {config.model_type}",
        )
