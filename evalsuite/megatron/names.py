"""Maps the names that Megatron and NeMo give a model's tensors, old and new, to one set of names.

Sources: Megatron-Core 0.16.1, `models/gpt/gpt_layer_specs.py`, `models/mamba/mamba_layer_specs.py`,
`ssm/mamba_mixer.py` and `transformer/mlp.py` (names, and the parts into which a distributed checkpoint
divides fused weights); NeMo 1, `scripts/checkpoint_converters/convert_gpt_nemo_to_mcore.py` (the older
Megatron naming); Transformer Engine, `TransformerLayer` (NeMo's `transformer_engine: true` without
Megatron-Core); Megatron-LM of August 2026 (`conv1d_weight` in files of ranks).
"""

import re
from dataclasses import dataclass

PREFIX = re.compile(r"(?:model\.)?(?:module\.)?(?:language_model\.)?")
LAYER = re.compile(r"(?:encoder|decoder)\.layers\.(?:(?P<number>\d+)\.)?(?P<rest>.+)")

GLOBAL = {
    "embedding.word_embeddings.weight": "embedding.weight",
    "output_layer.weight": "output.weight",
    "encoder.final_layernorm.weight": "final_norm.weight",
    "encoder.final_layernorm.bias": "final_norm.bias",
    "decoder.final_layernorm.weight": "final_norm.weight",
    "decoder.final_layernorm.bias": "final_norm.bias",
    "decoder.final_norm.weight": "final_norm.weight",
    "decoder.final_norm.bias": "final_norm.bias",
}
MODULE_NAMES = {
    "input_layernorm.": "attention_norm.",
    "post_attention_layernorm.": "mlp_norm.",
    "self_attention.query_key_value.": "qkv.",
    "self_attention.dense.": "attention_out.",
    "mlp.dense_h_to_4h.": "mlp_in.",
    "mlp.dense_4h_to_h.": "mlp_out.",
    "pre_mlp_layernorm.": "mlp_norm.",
    "self_attention.linear_qkv.layer_norm_": "attention_norm.",
    "self_attention.linear_qkv.": "qkv.",
    "self_attention.linear_proj.": "attention_out.",
    "mlp.linear_fc1.layer_norm_": "mlp_norm.",
    "mlp.linear_fc1.": "mlp_in.",
    "mlp.linear_fc2.": "mlp_out.",
    "self_attention.layernorm_qkv.layer_norm_": "attention_norm.",
    "self_attention.layernorm_qkv.": "qkv.",
    "self_attention.proj.": "attention_out.",
    "layernorm_mlp.layer_norm_": "mlp_norm.",
    "layernorm_mlp.fc1_": "mlp_in.",
    "layernorm_mlp.fc2_": "mlp_out.",
    "self_attention.q_layernorm.": "q_norm.",
    "self_attention.k_layernorm.": "k_norm.",
    "norm.": "mamba_norm.",
    "mixer.in_proj.layer_norm_": "mamba_norm.",
    "mixer.in_proj.": "mamba_in.",
    "mixer.conv1d.": "mamba_conv.",
    "mixer.conv1d_": "mamba_conv.",
    "mixer.norm.": "mamba_gate_norm.",
    "mixer.out_proj.": "mamba_out.",
}
"""Megatron's prefix of `weight` or `bias` in a layer, and our prefix."""
WHOLE_NAMES = {"mixer.A_log": "mamba.A_log", "mixer.D": "mamba.D", "mixer.dt_bias": "mamba.dt_bias"}
"""Parameters of a layer that are neither a `weight` nor a `bias`."""
LEAF = re.compile(r"(?P<prefix>.*?)(?P<kind>weight|bias)(?:[._](?P<part>w|v|z|x|B|C|dt))?")
FUSED_PARTS = {
    "mlp_in.weight": ("w", "v"),
    "mlp_in.bias": ("w", "v"),
    "mamba_in.weight": ("z", "x", "B", "C", "dt"),
    "mamba_conv.weight": ("x", "B", "C"),
    "mamba_conv.bias": ("x", "B", "C"),
}
"""Fused tensors of which a distributed checkpoint may hold the parts, in the order of their rows."""

NO_WEIGHTS = re.compile(r".*(?:_extra_state(?:/.*)?|inv_freq|\.core_attention\..*)")
"""States of kernels and rotary frequencies: computed, not loaded."""
LAST_STAGE_COPY = "word_embeddings.weight"
"""A copy of the embedding on the last pipeline stage, in models with tied embeddings."""

SPLIT_AXIS = {
    "embedding.weight": 0,
    "output.weight": 0,
    "qkv.weight": 0,
    "qkv.bias": 0,
    "attention_out.weight": 1,
    "mlp_in.weight": 0,
    "mlp_in.bias": 0,
    "mlp_out.weight": 1,
    "mamba_in.weight": 0,
    "mamba_conv.weight": 0,
    "mamba_conv.bias": 0,
    "mamba_gate_norm.weight": 0,
    "mamba_out.weight": 1,
    "mamba.A_log": 0,
    "mamba.D": 0,
    "mamba.dt_bias": 0,
}
"""The axis along which tensor parallelism cuts a tensor; every rank has a full copy of the others."""


Key = tuple[str, int | None]
"""Our name of a tensor, and its layer in the whole model (None outside the layers)."""


@dataclass(frozen=True, slots=True)
class Name:
    """A tensor of the model, independent of the naming in the checkpoint."""

    tensor: str
    """Our name, for example `qkv.weight`."""
    layer: int | None = None
    """Number of the layer in its file; None outside the layers and for stacked tensors."""
    stacked: bool = False
    """Whether its first axis is the layer."""
    part: str = ""
    """Which of its `FUSED_PARTS`; empty for the whole."""


def parse(name: str) -> Name | None:
    """Parses a tensor's name; None if the tensor is not a weight.

    Raises:
        KeyError: no GPT and no Mamba hybrid has such a tensor.
    """
    if NO_WEIGHTS.fullmatch(name):
        return None
    start = PREFIX.match(name)
    rest = name[start.end() :] if start else name
    if rest == LAST_STAGE_COPY:
        return None
    if rest in GLOBAL:
        return Name(GLOBAL[rest])
    layer = LAYER.fullmatch(rest)
    if layer is None:
        raise KeyError(name)
    number = int(layer["number"]) if layer["number"] else None
    if layer["rest"] in WHOLE_NAMES:
        return Name(WHOLE_NAMES[layer["rest"]], number, stacked=number is None)
    leaf = LEAF.fullmatch(layer["rest"])
    prefix = MODULE_NAMES.get(leaf["prefix"]) if leaf else None
    if leaf is None or prefix is None:
        raise KeyError(name)
    tensor, part = prefix + leaf["kind"], leaf["part"] or ""
    if part and part not in FUSED_PARTS.get(tensor, ()):
        raise KeyError(name)
    return Name(tensor, number, stacked=number is None, part=part)


def in_words(key: Key) -> str:
    """A tensor in messages: `qkv.weight of layer 3`."""
    tensor, layer = key
    return tensor if layer is None else f"{tensor} of layer {layer}"
