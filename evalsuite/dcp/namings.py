"""The known namings of weights: what each calls the tensors of a model of transformers.

Sources: torchtitan 0.2 and 0.3, `models/llama3` and `models/qwen3`, `state_dict_adapter.py`; OLMo-core 3.0,
`nn/hf/convert.py`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from evalsuite.checkpoints.raw.stored import Stored
from evalsuite.checkpoints.raw.target import ModelTensors, TargetModel

Convert = Callable[[Stored], Stored]


@dataclass(frozen=True, slots=True)
class Naming:
    """One way of naming all tensors of a model."""

    title: str
    """As in messages: `torchtitan's`."""
    tensors: ModelTensors
    """The model's tensors, by the names under which they are written for transformers."""
    own_names: Mapping[str, str]
    """The naming's name of each tensor, by its name in `tensors`; second names of shared tensors, too."""
    convert: Mapping[str, Convert] = field(default_factory=dict)
    """Changes of a tensor's values, by its name in `tensors`."""

    def kinds(self) -> frozenset[str]:
        """Its names without numbers of layers and experts."""
        return frozenset(map(kind_of, self.own_names.values()))


def kind_of(name: str) -> str:
    """A name with `#` for each number: tensors of all layers have the same."""
    return re.sub(r"(?<=\.)\d+(?=\.|$)", "#", name)


def namings(target: TargetModel) -> list[Naming]:
    """The known namings of a model, by its architecture."""
    found = [_own("transformers'", target.in_memory)]
    if target.in_files != target.in_memory:
        found.append(_own("transformers' (as in its files)", target.in_files))
    family = str(target.config.get("model_type"))
    for title, families, modules, convert in (
        ("torchtitan's (0.3)", TORCHTITAN_NORMS, TORCHTITAN, _rotary_order),
        ("torchtitan's (0.2)", TORCHTITAN_NORMS, {**TORCHTITAN, **TORCHTITAN_BEFORE}, _rotary_order),
        ("OLMo-core's", OLMO_CORE_NORMS, OLMO_CORE, _unchanged),
    ):
        own = _renamed(target.in_memory, {**modules, **families.get(family, {})})
        if family in families and own:
            found.append(Naming(title, target.in_memory, own, convert(target)))
    return found


def _own(title: str, tensors: ModelTensors) -> Naming:
    return Naming(title, tensors, {name: name for name in (*tensors.specs, *tensors.shared)})


ATTENTION = "model.layers.#.self_attn"
TORCHTITAN = {
    "model.embed_tokens": "tok_embeddings",
    "model.norm": "norm",
    "lm_head": "lm_head",
    **{f"{ATTENTION}.{each}_proj": f"layers.#.attention.qkv_linear.w{each}" for each in "qkv"},
    f"{ATTENTION}.o_proj": "layers.#.attention.wo",
    "model.layers.#.mlp.gate_proj": "layers.#.feed_forward.w1",
    "model.layers.#.mlp.down_proj": "layers.#.feed_forward.w2",
    "model.layers.#.mlp.up_proj": "layers.#.feed_forward.w3",
    "model.layers.#.input_layernorm": "layers.#.attention_norm",
    "model.layers.#.post_attention_layernorm": "layers.#.ffn_norm",
}
"""torchtitan's module for each of transformers', since version 0.3; `#` is the number of a layer."""
TORCHTITAN_BEFORE = {
    "lm_head": "output",
    **{f"{ATTENTION}.{each}_proj": f"layers.#.attention.w{each}" for each in "qkv"},
}
"""Where versions before 0.3 differ."""
TORCHTITAN_NORMS: Mapping[str, Mapping[str, str]] = {
    "llama": {},
    "qwen3": {f"{ATTENTION}.{each}_norm": f"layers.#.attention.{each}_norm" for each in "qk"},
}
"""By architecture: further modules."""
OLMO_CORE = {
    "model.embed_tokens": "embeddings",
    "model.norm": "lm_head.norm",
    "lm_head": "lm_head.w_out",
    **{f"{ATTENTION}.{each}_proj": f"blocks.#.attention.w_{each}" for each in "qkv"},
    f"{ATTENTION}.o_proj": "blocks.#.attention.w_out",
    **{f"{ATTENTION}.{each}_norm": f"blocks.#.attention.{each}_norm" for each in "qk"},
    "model.layers.#.mlp.gate_proj": "blocks.#.feed_forward.w1",
    "model.layers.#.mlp.down_proj": "blocks.#.feed_forward.w2",
    "model.layers.#.mlp.up_proj": "blocks.#.feed_forward.w3",
}
"""OLMo-core's module for each of transformers'."""
BEFORE_EACH = {
    "model.layers.#.input_layernorm": "blocks.#.attention_norm",
    "model.layers.#.post_attention_layernorm": "blocks.#.feed_forward_norm",
}
AFTER_EACH = {
    "model.layers.#.post_attention_layernorm": "blocks.#.attention_norm",
    "model.layers.#.post_feedforward_layernorm": "blocks.#.feed_forward_norm",
}
OLMO_CORE_NORMS: Mapping[str, Mapping[str, str]] = {
    "llama": BEFORE_EACH,
    "qwen3": BEFORE_EACH,
    "olmo2": AFTER_EACH,
    "olmo3": AFTER_EACH,
}
"""By architecture: whether norms stand before or after attention and MLP."""


def _renamed(tensors: ModelTensors, modules: Mapping[str, str]) -> dict[str, str]:
    """The name of each tensor by a table of modules; empty if the model has a module that the table lacks."""
    own = {name: _rename(name, modules) for name in (*tensors.specs, *tensors.shared)}
    return own if all(own.values()) else {}


def _rename(name: str, modules: Mapping[str, str]) -> str:
    """A tensor's name with its module renamed; empty if the table lacks the module."""
    module, _, kind = name.rpartition(".")
    renamed = modules.get(kind_of(module), "")
    for number in re.findall(r"(?<=\.)\d+(?=\.|$)", module):
        renamed = renamed.replace("#", number, 1)
    return f"{renamed}.{kind}" if renamed else ""


def _unchanged(_: TargetModel) -> dict[str, Convert]:
    return {}


def _rotary_order(target: TargetModel) -> dict[str, Convert]:
    """torchtitan's Llama rotates neighbouring rows of a head in queries and keys, transformers its halves.

    Its Qwen3 rotates halves, too.
    """
    if target.config.get("model_type") != "llama":
        return {}
    heads = int(target.config["num_attention_heads"])
    groups = int(target.config.get("num_key_value_heads") or heads)
    return {
        name: halves_from_pairs(count)
        for name in target.in_memory.specs
        for module, count in (("q_proj", heads), ("k_proj", groups))
        if f".self_attn.{module}." in name
    }


def halves_from_pairs(heads: int) -> Convert:
    """Reorders the rows of each head: first the even ones, then the odd ones.

    Row `2 i` and row `2 i + 1` of a head are one rotated pair before, rows `i` and `i + head / 2` afterwards.
    """

    def convert(stored: Stored) -> Stored:
        def read() -> torch.Tensor:
            values = stored.read()
            pairs = values.reshape(heads, -1, 2, *values.shape[1:])
            return pairs.transpose(1, 2).reshape(values.shape)

        return Stored(stored.shape, stored.dtype, read)

    return convert
