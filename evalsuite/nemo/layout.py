"""Maps NeMo's tensors to those of transformers' Nemotron.

The rows of a fused `qkv` are ordered by group of heads: the group's queries, then its key, then its value,
each `head_dim` rows (with as many groups as heads: query, key, value of each head). Tensor parallelism cuts
between groups. Both sides store the weight of a `layernorm1p` minus one. Sources: NeMo 1,
`scripts/checkpoint_converters/convert_nemotron_nemo_to_hf.py` and `megatron/attention.py`; transformers
5.23, `modeling_nemotron.py`.
"""

from collections.abc import Mapping
from typing import Any

import torch

from evalsuite.checkpoints.raw.stored import Stored
from evalsuite.errors import ModelError
from evalsuite.nemo.names import Key

OUTSIDE = {
    "embedding.weight": "model.embed_tokens.weight",
    "final_norm.weight": "model.norm.weight",
    "final_norm.bias": "model.norm.bias",
    "output.weight": "lm_head.weight",
}
INSIDE = {
    "attention_norm": "input_layernorm",
    "attention_out": "self_attn.o_proj",
    "mlp_norm": "post_attention_layernorm",
    "mlp_in": "mlp.up_proj",
    "mlp_out": "mlp.down_proj",
}
PROJECTIONS = ("q_proj", "k_proj", "v_proj")


def nemotron_tensors(
    weights: Mapping[Key, Stored], config: Mapping[str, Any], path: object
) -> dict[str, Stored]:
    """The architecture's tensors by name, in the order of the model; none is read yet.

    Args:
        weights: NeMo's tensors.
        config: from `nemotron_config`.
        path: of the archive, for messages.

    Raises:
        ModelError: a tensor is missing, left over, or has another shape than the configuration says.
    """
    tied = config["tie_word_embeddings"]
    left = {key: stored for key, stored in weights.items() if not (tied and key[0] == "output.weight")}
    found: dict[str, Stored] = {}
    for (tensor, layer), shape in _expected(config, left).items():
        stored = left.pop((tensor, layer), None)
        where = tensor if layer is None else f"{tensor} of layer {layer}"
        if stored is None:
            raise ModelError(f"Model archive {path} has no {where}.")
        if stored.shape != shape:
            raise ModelError(f"Model archive {path}: {where} has shape {stored.shape} instead of {shape}.")
        found |= _renamed(tensor, layer, stored, config)
    if left:
        tensor, layer = next(iter(left))
        where = "" if layer is None else f" of layer {layer}"
        raise ModelError(f"Model archive {path} has a {tensor}{where} that its configuration does not have.")
    return found


def _expected(config: Mapping[str, Any], weights: Mapping[Key, Stored]) -> dict[Key, tuple[int, ...]]:
    width, inner = config["hidden_size"], config["intermediate_size"]
    heads, groups, head = (
        config[name] for name in ("num_attention_heads", "num_key_value_heads", "head_dim")
    )
    embedding = weights.get(("embedding.weight", None))
    vocabulary = embedding.shape[0] if embedding else 0
    layer: dict[str, tuple[int, ...]] = {
        "attention_norm.weight": (width,),
        "attention_norm.bias": (width,),
        "qkv.weight": ((heads + 2 * groups) * head, width),
        "attention_out.weight": (width, heads * head),
        "mlp_norm.weight": (width,),
        "mlp_norm.bias": (width,),
        "mlp_in.weight": (inner, width),
        "mlp_out.weight": (width, inner),
    }
    if config["attention_bias"]:
        layer |= {"qkv.bias": ((heads + 2 * groups) * head,), "attention_out.bias": (width,)}
        layer |= {"mlp_in.bias": (inner,), "mlp_out.bias": (width,)}
    expected: dict[Key, tuple[int, ...]] = {("embedding.weight", None): (vocabulary, width)}
    for number in range(config["num_hidden_layers"]):
        expected |= {(tensor, number): shape for tensor, shape in layer.items()}
    expected |= {("final_norm.weight", None): (width,), ("final_norm.bias", None): (width,)}
    if not config["tie_word_embeddings"]:
        expected["output.weight", None] = (vocabulary, width)
    return expected


def _renamed(tensor: str, layer: int | None, stored: Stored, config: Mapping[str, Any]) -> dict[str, Stored]:
    if layer is None:
        return {OUTSIDE[tensor]: stored}
    module, kind = tensor.split(".")
    start = f"model.layers.{layer}"
    if module != "qkv":
        return {f"{start}.{INSIDE[module]}.{kind}": stored}
    split = split_qkv(
        stored, config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    )
    return {f"{start}.self_attn.{name}.{kind}": part for name, part in zip(PROJECTIONS, split, strict=True)}


def split_qkv(fused: Stored, heads: int, groups: int, head: int) -> tuple[Stored, Stored, Stored]:
    """Queries, keys and values of a fused weight (rows, width) or bias (rows)."""
    each = heads // groups
    width = fused.shape[1:]

    def part(first: int, count: int) -> Stored:
        def read() -> torch.Tensor:
            rows = fused.read().view(groups, each + 2, head, *width)
            return rows[:, first : first + count].reshape(groups * count * head, *width)

        return Stored((groups * count * head, *width), fused.dtype, read)

    return part(0, each), part(each, 1), part(each + 1, 1)
