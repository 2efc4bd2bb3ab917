"""Estimates a slot's memory from a model's configuration, before anything is loaded.

A slot (`slots.cache`) stores the keys and values of all its own tokens, also in layers with a window, and the
states of recurrent layers. `slots.capacity.slot_bytes` has the same number from a loaded model.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evalsuite.engine.native.memory_estimate import ITEM_BYTES, STATE_SIZES, first_of, mamba_heads

STATE_BYTES = 4
"""Bytes of each value of a recurrent state: it is float32 whatever the model's data type."""

LAYER_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HEAD_COUNTS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
PATTERNS = {"M": "mamba", "*": "attention"}
"""Layers in `hybrid_override_pattern` (Nemotron-H) that a cache has a part for."""
FAMILIES = {"mamba2": "mamba", "mamba": "mamba-1", "falcon_mamba": "mamba-1", "falcon_h1": "hybrid"}
"""Families whose layers are all of one kind, which their configurations do not state."""


@dataclass(frozen=True, slots=True)
class SlotNeeds:
    """Bytes of a slot."""

    a_token: int
    """Keys and values of one token, in all layers."""
    states: int
    """Recurrent states and the last inputs of convolutions, in all layers."""

    def of(self, tokens: int) -> int:
        """Bytes of a slot with `tokens` tokens."""
        return self.a_token * tokens + self.states


def slot_needs(config: Mapping[str, Any], dtype: str, device: str = "cuda") -> SlotNeeds:
    """The memory of a slot, for a model of this `config.json` in a resolved data type on a resolved device.

    Layers of an unknown kind count as attention, which needs most per token. On a CPU, keys and values are
    float32.
    """
    kinds = [*layer_kinds(config)]
    item = ITEM_BYTES[dtype]
    attention = sum(kind in ("attention", "hybrid") for kind in kinds)
    states = {"mamba": _mamba2, "hybrid": _mamba2, "mamba-1": _mamba1, "linear": _delta_rule, "conv": _conv}
    return SlotNeeds(
        attention * _key_and_value(config) * (4 if device == "cpu" else item),
        sum(states[kind](config, item) for kind in kinds if kind in states),
    )


def layer_kinds(config: Mapping[str, Any]) -> Iterator[str]:
    """Each layer's kind; "" for a layer without a part in a cache.

    The kinds are "attention", "mamba", "mamba-1", "linear", "conv", and "hybrid" (attention and mamba).
    Several families state it in a field of their own; `layer_types` is transformers' own name for it.
    """
    count = first_of(config, LAYER_COUNTS, 32)
    if config.get("model_type") in FAMILIES:
        yield from [FAMILIES[config["model_type"]]] * count
    elif pattern := config.get("hybrid_override_pattern"):
        yield from (PATTERNS.get(letter, "") for letter in pattern)
    elif names := config.get("layers_block_type") or config.get("layer_types"):
        yield from (_kind(name, config) for name in names)
    elif (indices := config.get("attn_layer_indices")) is not None:
        yield from ("attention" if index in indices else "mamba" for index in range(count))
    elif (indices := config.get("hybrid_layer_ids")) is not None:
        yield from ("hybrid" if index in indices else "mamba" for index in range(count))
    elif every := config.get("full_attention_interval"):
        yield from ("linear" if (index + 1) % every else "attention" for index in range(count))
    else:
        yield from ["attention"] * count


def _kind(name: str, config: Mapping[str, Any]) -> str:
    """The kind of a layer that a configuration calls `name`."""
    if name == "linear_attention":
        return "mamba" if mamba_heads(config)[0] else "linear"
    if name.endswith("attention"):
        return "attention"
    return {"mamba": "mamba", "mamba2": "mamba", "hybrid": "hybrid", "conv": "conv"}.get(name, "")


def _key_and_value(config: Mapping[str, Any]) -> int:
    """Values of one token's key and value, of all heads that are stored."""
    heads = first_of(config, HEAD_COUNTS, 32)
    if config.get("kv_lora_rank"):  # MLA: slots store the expanded keys and values
        key = first_of(config, ("qk_nope_head_dim",), 128) + first_of(config, ("qk_rope_head_dim",), 64)
        return heads * (key + first_of(config, ("v_head_dim",), 128))
    width = first_of(config, ("hidden_size", "n_embd", "d_model"), 4096)
    groups = first_of(config, ("num_key_value_heads", "num_kv_heads"), heads)
    stored = 1 if config.get("multi_query") else groups
    return 2 * stored * first_of(config, ("attention_head_dim", "head_dim", "kv_channels"), width // heads)


def _mamba2(config: Mapping[str, Any], item: int) -> int:
    heads, width = mamba_heads(config)
    state = first_of(config, STATE_SIZES, 128)
    groups = first_of(config, ("n_groups", "mamba_n_groups", "mamba_ngroups"), 8)
    taps = first_of(config, ("conv_kernel", "mamba_d_conv"), 4)
    return heads * width * state * STATE_BYTES + (heads * width + 2 * groups * state) * taps * item


def _mamba1(config: Mapping[str, Any], item: int) -> int:
    inner = first_of(config, ("intermediate_size",), 2 * first_of(config, ("hidden_size",), 4096))
    state = first_of(config, ("state_size",), 16)
    return inner * state * STATE_BYTES + inner * first_of(config, ("conv_kernel",), 4) * item


def _delta_rule(config: Mapping[str, Any], item: int) -> int:
    """Gated delta rules: a state (key width, value width) for each value head, and convolved q, k and v."""
    heads = first_of(config, ("linear_num_heads",), 0)
    keys = first_of(config, ("linear_num_key_heads",), heads)
    values = first_of(config, ("linear_num_value_heads",), heads)
    both = first_of(config, ("linear_head_dim",), 128)
    key = first_of(config, ("linear_key_head_dim",), both)
    value = first_of(config, ("linear_value_head_dim",), both)
    taps = first_of(config, ("linear_conv_kernel_dim",), 4)
    return values * key * value * STATE_BYTES + (2 * keys * key + values * value) * taps * item


def _conv(config: Mapping[str, Any], item: int) -> int:
    return first_of(config, ("hidden_size",), 4096) * first_of(config, ("conv_L_cache",), 3) * item
