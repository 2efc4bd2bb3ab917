"""Maps the names that NeMo gives a GPT's tensors, old and new, to one set of names.

Sources: NeMo 1, `scripts/checkpoint_converters/convert_gpt_nemo_to_mcore.py` (the older Megatron naming,
and how it maps to Megatron-Core's); Transformer Engine, `TransformerLayer` (NeMo's `transformer_engine:
true` without Megatron-Core).
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
}
"""NeMo's prefix of `weight` or `bias` in a layer, and our prefix."""

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
}
"""The axis along which tensor parallelism cuts a tensor; every rank has a full copy of the others."""


@dataclass(frozen=True, slots=True)
class Name:
    """A tensor of the model, independent of NeMo's naming."""

    tensor: str
    """Our name, for example `qkv.weight`."""
    layer: int | None = None
    """Number of the layer in its file; None outside the layers and for stacked tensors."""
    stacked: bool = False
    """Whether its first axis is the layer."""


def parse(name: str) -> Name | None:
    """Parses a name of NeMo's; None if the tensor is not a weight.

    Raises:
        KeyError: a GPT with Nemotron's layers has no such tensor.
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
    kind = "weight" if rest.endswith("weight") else "bias"
    prefix = MODULE_NAMES.get(layer["rest"].removesuffix(kind))
    if prefix is None:
        raise KeyError(name)
    number = int(layer["number"]) if layer["number"] else None
    return Name(prefix + kind, number, stacked=number is None)


Key = tuple[str, int | None]
"""Our name of a tensor, and its layer in the whole model (None outside the layers)."""
