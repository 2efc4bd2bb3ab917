"""The tensors of a model of transformers as Megatron-Core names, fuses and cuts them.

Written head by head from Megatron-Core's sources, independently of the code under test. `megatron_core.json`
has the names and shapes that Megatron-Core 0.16.1 itself gave models of these sizes.
"""

from dataclasses import dataclass

import torch

ROWS = ("word_embeddings.weight", "output_layer.weight", "linear_qkv.weight", "linear_fc1.weight")
MAMBA_ROWS = ("in_proj.weight", "conv1d.weight", "conv1d.bias", "mixer.norm.weight", "A_log", ".D", "dt_bias")
COLUMNS = ("linear_proj.weight", "linear_fc2.weight", "out_proj.weight")


@dataclass(frozen=True)
class Piece:
    """A part of a tensor that tensor parallelism cuts by itself."""

    letter: str
    """What Megatron-Core calls it in the names of a distributed checkpoint."""
    tensor: torch.Tensor


@dataclass(frozen=True)
class Whole:
    """A tensor of Megatron's, before it is cut."""

    pieces: tuple[Piece, ...]
    axis: int | None
    """The one along which it is cut; None if every rank has a copy."""

    @property
    def tensor(self) -> torch.Tensor:
        return torch.cat([piece.tensor for piece in self.pieces])

    def on_rank(self, rank: int, ranks: int) -> torch.Tensor:
        if self.axis is None:
            return self.tensor
        return torch.cat([piece.tensor.chunk(ranks, self.axis)[rank] for piece in self.pieces])


def fused_qkv(state: dict, place: str, config) -> torch.Tensor:
    """Group by group: the group's queries, its key, its value."""
    head, groups = config.head_dim, config.num_key_value_heads
    each = config.num_attention_heads // groups
    rows = []
    for group in range(groups):
        for number in range(each):
            query = (group * each + number) * head
            rows.append(state[f"{place}.q_proj.weight"][query : query + head])
        for kind in ("k_proj", "v_proj"):
            rows.append(state[f"{place}.{kind}.weight"][group * head : (group + 1) * head])
    return torch.cat(rows)


def padded(embedding: torch.Tensor, rows: int) -> torch.Tensor:
    return torch.cat([embedding, embedding.new_full((rows - len(embedding), embedding.shape[1]), 7.0)])


def gpt_layer(state: dict, number: int, config) -> dict[str, torch.Tensor | tuple]:
    start = f"model.layers.{number}"
    found = {
        "self_attention.linear_qkv.layer_norm_weight": state[f"{start}.input_layernorm.weight"],
        "self_attention.linear_qkv.weight": fused_qkv(state, f"{start}.self_attn", config),
        "self_attention.linear_proj.weight": state[f"{start}.self_attn.o_proj.weight"],
        "mlp.linear_fc1.layer_norm_weight": state[f"{start}.post_attention_layernorm.weight"],
        "mlp.linear_fc2.weight": state[f"{start}.mlp.down_proj.weight"],
    }
    up = state[f"{start}.mlp.up_proj.weight"]
    gate = state.get(f"{start}.mlp.gate_proj.weight")
    found["mlp.linear_fc1.weight"] = up if gate is None else (("w", gate), ("v", up))
    for kind in ("q", "k"):
        if f"{start}.self_attn.{kind}_norm.weight" in state:
            found[f"self_attention.{kind}_layernorm.weight"] = state[f"{start}.self_attn.{kind}_norm.weight"]
    if f"{start}.input_layernorm.bias" in state:
        found["self_attention.linear_qkv.layer_norm_bias"] = state[f"{start}.input_layernorm.bias"]
        found["mlp.linear_fc1.layer_norm_bias"] = state[f"{start}.post_attention_layernorm.bias"]
    return found


def hybrid_layer(state: dict, number: int, config) -> dict[str, torch.Tensor | tuple]:
    start, kind = f"model.layers.{number}", config.layers_block_type[number]
    norm, mixer = state[f"{start}.norm.weight"], f"{start}.mixer"
    if kind == "full_attention":
        return {
            "self_attention.linear_qkv.layer_norm_weight": norm,
            "self_attention.linear_qkv.weight": fused_qkv(state, mixer, config),
            "self_attention.linear_proj.weight": state[f"{mixer}.o_proj.weight"],
        }
    if kind == "mlp":
        return {
            "mlp.linear_fc1.layer_norm_weight": norm,
            "mlp.linear_fc1.weight": state[f"{mixer}.up_proj.weight"],
            "mlp.linear_fc2.weight": state[f"{mixer}.down_proj.weight"],
        }
    inner = config.mamba_num_heads * config.mamba_head_dim
    sizes = [inner, inner, *[config.n_groups * config.ssm_state_size] * 2, config.mamba_num_heads]
    inside = zip(("z", "x", "B", "C", "dt"), state[f"{mixer}.in_proj.weight"].split(sizes), strict=True)
    found = {
        "mixer.in_proj.layer_norm_weight": norm,
        "mixer.in_proj.weight": tuple(inside),
        "mixer.norm.weight": state[f"{mixer}.norm.weight"],
        "mixer.out_proj.weight": state[f"{mixer}.out_proj.weight"],
        **{f"mixer.{name}": state[f"{mixer}.{name}"] for name in ("A_log", "D", "dt_bias")},
    }
    for leaf in ("weight", "bias"):
        rows = state[f"{mixer}.conv1d.{leaf}"].split(sizes[1:4])
        found[f"mixer.conv1d.{leaf}"] = tuple(zip(("x", "B", "C"), rows, strict=True))
    return found


def wholes(model, padded_rows: int) -> dict[str, Whole]:
    """All tensors of a model by Megatron's names, with layers numbered in the whole model."""
    state, config = model.state_dict(), model.config
    hybrid = config.model_type == "nemotron_h"
    embedding, norm = ("embeddings", "norm_f") if hybrid else ("embed_tokens", "norm")
    found = {"embedding.word_embeddings.weight": padded(state[f"model.{embedding}.weight"], padded_rows)}
    for number in range(config.num_hidden_layers):
        layer = (hybrid_layer if hybrid else gpt_layer)(state, number, config)
        found |= {f"decoder.layers.{number}.{name}": tensor for name, tensor in layer.items()}
    last = "decoder.final_norm" if hybrid else "decoder.final_layernorm"
    for leaf in ("weight", "bias"):
        if f"model.{norm}.{leaf}" in state:
            found[f"{last}.{leaf}"] = state[f"model.{norm}.{leaf}"]
    if not config.tie_word_embeddings:
        found["output_layer.weight"] = padded(state["lm_head.weight"], padded_rows)
    return {name: _whole(name, tensor) for name, tensor in found.items()}


def _whole(name: str, tensor) -> Whole:
    pieces = tensor if isinstance(tensor, tuple) else (("", tensor),)
    axis = 0 if name.endswith((*ROWS, *MAMBA_ROWS)) else 1 if name.endswith(COLUMNS) else None
    return Whole(tuple(Piece(*piece) for piece in pieces), axis)


def local_name(name: str) -> str:
    """The name in models without Transformer Engine, whose norms are modules of their own."""
    return name.replace("self_attention.linear_qkv.layer_norm_", "input_layernorm.").replace(
        "mlp.linear_fc1.layer_norm_", "pre_mlp_layernorm."
    )
