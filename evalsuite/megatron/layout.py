"""Maps Megatron's tensors to those of transformers' Llama, Qwen3, Nemotron and Nemotron-H.

The rows of a fused `qkv` are ordered by group of heads: the group's queries, then its key, then its value,
each `head_dim` rows (with as many groups as heads: query, key, value of each head). Those of a gated `mlp_in`
are the gate's, then the other half's. A Mamba layer's `in_proj` and `conv1d` have the same order as in
transformers: z, x, B, C, dt, and x, B, C. Sources: Megatron-Core 0.16.1, `transformer/attention.py`
(`get_query_key_value_tensors`), `transformer/mlp.py` and `ssm/mamba_mixer.py`; transformers 5.23,
`modeling_llama.py`, `modeling_qwen3.py`, `modeling_nemotron.py` and `modeling_nemotron_h.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from evalsuite.checkpoints.raw.stored import Stored, row_range
from evalsuite.errors import ModelError
from evalsuite.megatron.assemble import Sections
from evalsuite.megatron.names import Key, in_words

PROJECTIONS = ("q_proj", "k_proj", "v_proj")
HALVES = ("gate_proj", "up_proj")
VOCABULARY = ("embedding.weight", "output.weight")
GPT_MODULES = {
    "embedding": "model.embed_tokens",
    "final_norm": "model.norm",
    "output": "lm_head",
    "attention_norm": "input_layernorm",
    "qkv": "self_attn",
    "q_norm": "self_attn.q_norm",
    "k_norm": "self_attn.k_norm",
    "attention_out": "self_attn.o_proj",
    "mlp_norm": "post_attention_layernorm",
    "mlp_in": "mlp.up_proj",
    "mlp_out": "mlp.down_proj",
}
HYBRID_MODULES = {
    "embedding": "model.embeddings",
    "final_norm": "model.norm_f",
    "output": "lm_head",
    "attention_norm": "norm",
    "qkv": "mixer",
    "attention_out": "mixer.o_proj",
    "mlp_norm": "norm",
    "mlp_in": "mixer.up_proj",
    "mlp_out": "mixer.down_proj",
    "mamba_norm": "norm",
    "mamba_in": "mixer.in_proj",
    "mamba_conv": "mixer.conv1d",
    "mamba_gate_norm": "mixer.norm",
    "mamba_out": "mixer.out_proj",
    "mamba": "mixer",
}
"""Our module names, and those of transformers: in full outside the layers, otherwise within the layer."""


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """What of a model's configuration decides where its tensors are."""

    modules: Mapping[str, str]
    """`GPT_MODULES` or `HYBRID_MODULES`."""
    heads: int
    groups: int
    """Query groups, which is heads of keys and values."""
    head_width: int
    vocabulary: int
    """Tokens; further rows of the embedding are padding."""
    gated: bool
    """Whether the MLP has a gate."""
    mamba: tuple[int, int, int] = (0, 0, 0)
    """Of a Mamba layer: rows of x (and of z), rows of B (and of C), heads."""

    @property
    def fused_rows(self) -> int:
        """Rows of a fused `qkv`."""
        return (self.heads + 2 * self.groups) * self.head_width

    @property
    def sections(self) -> Sections:
        """See `Sections`."""
        found: dict[str, tuple[int, ...]] = {}
        if self.gated:
            found |= {"mlp_in.weight": (1, 1), "mlp_in.bias": (1, 1)}
        if inner := self.mamba[0]:
            _, state, heads = self.mamba
            found["mamba_in.weight"] = (inner, inner, state, state, heads)
            found |= {f"mamba_conv.{kind}": (inner, state, state) for kind in ("weight", "bias")}
        return found


def transformers_tensors(
    weights: Mapping[Key, Stored], layout: ModelLayout, what: str
) -> tuple[dict[str, Stored], list[str]]:
    """The tensors by transformers' names, and in words those that have no place in such a model.

    Args:
        weights: Megatron's tensors.
        layout: of the model.
        what: the checkpoint, for messages.

    Raises:
        ModelError: a fused tensor has another number of rows than its parts.
    """
    found: dict[str, Stored] = {}
    left_over = []
    for key, stored in weights.items():
        if key[0].startswith("qkv.") and stored.shape[0] != layout.fused_rows:
            raise ModelError(
                f"{what}: {in_words(key)} has {stored.shape[0]} rows; by its configuration "
                f"({layout.heads} heads in {layout.groups} groups, {layout.head_width} wide) it has "
                f"{layout.fused_rows}."
            )
        renamed = _renamed(key, stored, layout)
        if not renamed or renamed.keys() & found.keys():
            left_over.append(in_words(key))
        else:
            found |= renamed
    return found, left_over


def _renamed(key: Key, stored: Stored, layout: ModelLayout) -> dict[str, Stored]:
    """Empty if there is no such tensor."""
    tensor, layer = key
    module, leaf = tensor.split(".")
    if module not in layout.modules:
        return {}
    place = layout.modules[module] if layer is None else f"model.layers.{layer}.{layout.modules[module]}"
    rows = stored.shape[0]
    if tensor in VOCABULARY and rows > layout.vocabulary:
        stored = row_range(stored, 0, layout.vocabulary)
    elif module == "qkv":
        split = split_qkv(stored, layout.heads, layout.groups, layout.head_width)
        return {f"{place}.{name}.{leaf}": part for name, part in zip(PROJECTIONS, split, strict=True)}
    elif module == "mlp_in" and layout.gated:
        parent, half = place.rpartition(".")[0], rows // 2
        parts = (row_range(stored, 0, half), row_range(stored, half, rows - half))
        return {f"{parent}.{name}.{leaf}": part for name, part in zip(HALVES, parts, strict=True)}
    return {f"{place}.{leaf}": stored}


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
