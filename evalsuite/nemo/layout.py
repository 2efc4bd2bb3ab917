"""Maps NeMo's tensors to those of transformers' Nemotron.

Both sides store the weight of a `layernorm1p` minus one. Sources: NeMo 1,
`scripts/checkpoint_converters/convert_nemotron_nemo_to_hf.py` and `megatron/attention.py`; transformers
5.23, `modeling_nemotron.py`.
"""

from collections.abc import Mapping
from typing import Any

from evalsuite.checkpoints.raw.stored import Stored
from evalsuite.errors import ModelError
from evalsuite.megatron.layout import split_qkv
from evalsuite.megatron.names import Key, in_words

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
        where = in_words((tensor, layer))
        if stored is None:
            raise ModelError(f"Model archive {path} has no {where}.")
        if stored.shape != shape:
            raise ModelError(f"Model archive {path}: {where} has shape {stored.shape} instead of {shape}.")
        found |= _renamed(tensor, layer, stored, config)
    if left:
        where = in_words(next(iter(left)))
        raise ModelError(f"Model archive {path} has a {where} that its configuration does not have.")
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
