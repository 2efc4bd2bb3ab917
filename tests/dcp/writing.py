"""A trainer's side: state dicts in the names of several frameworks, written by torch.distributed.checkpoint.

The namings are written out here a second time, from the frameworks' own conversion scripts, in the other
direction than evalsuite reads them.
"""

import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch.distributed import checkpoint as dcp

State = dict[str, torch.Tensor]


def save(state: Mapping[str, object], folder: Path) -> Path:
    """Write a checkpoint in one process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(dict(state), checkpoint_id=folder, no_dist=True)
    return folder


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda state: {prefix + name: values for name, values in state.items()}


def compiled_and_wrapped(state: State) -> State:
    """As FSDP, activation checkpointing and torch.compile name the modules in their layers."""
    renamed = {}
    for name, values in state.items():
        name = re.sub(r"layers\.(\d+)\.", r"layers.\1._checkpoint_wrapped_module._orig_mod.", name)
        renamed[f"module._fsdp_wrapped_module.{name}"] = values
    return renamed


def with_training_state(state: State) -> dict[str, object]:
    """`{"model": ..., "optimizer": ..., ...}`, as it is flattened."""
    return {
        "model": state,
        "optimizer": {
            "state": {name: {"exp_avg": 0 * v, "step": torch.tensor(7.0)} for name, v in state.items()}
        },
        "lr_scheduler": {"last_epoch": 3},
        "step": 1000,
        "rng": torch.get_rng_state(),
    }


def interleaved(values: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of each head so that rotated pairs are neighbours, as torchtitan's Llama has them."""
    head = values.shape[0] // heads
    order = [row for pair in range(head // 2) for row in (pair, pair + head // 2)]
    return torch.cat([values[number * head : (number + 1) * head][order] for number in range(heads)])


def torchtitan(state: State, *, family: str, heads: int, groups: int, old: bool = False) -> State:
    """Names and order of torchtitan 0.3, or before."""
    modules = {
        "model.embed_tokens": "tok_embeddings",
        "model.norm": "norm",
        "lm_head": "output" if old else "lm_head",
        "self_attn.q_proj": "attention.wq" if old else "attention.qkv_linear.wq",
        "self_attn.k_proj": "attention.wk" if old else "attention.qkv_linear.wk",
        "self_attn.v_proj": "attention.wv" if old else "attention.qkv_linear.wv",
        "self_attn.o_proj": "attention.wo",
        "self_attn.q_norm": "attention.q_norm",
        "self_attn.k_norm": "attention.k_norm",
        "mlp.gate_proj": "feed_forward.w1",
        "mlp.down_proj": "feed_forward.w2",
        "mlp.up_proj": "feed_forward.w3",
        "input_layernorm": "attention_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    renamed = {}
    for name, values in state.items():
        if family == "llama" and ".q_proj." in name:
            values = interleaved(values, heads)
        if family == "llama" and ".k_proj." in name:
            values = interleaved(values, groups)
        renamed[_renamed(name, modules).removeprefix("model.")] = values
    return renamed


def olmo_core(state: State, *, family: str) -> State:
    """Names of OLMo-core 3.0 below `model`."""
    norms = ("attention_norm", "feed_forward_norm")
    modules = {
        "model.embed_tokens": "embeddings",
        "model.norm": "lm_head.norm",
        "lm_head": "lm_head.w_out",
        "self_attn.q_proj": "attention.w_q",
        "self_attn.k_proj": "attention.w_k",
        "self_attn.v_proj": "attention.w_v",
        "self_attn.o_proj": "attention.w_out",
        "self_attn.q_norm": "attention.q_norm",
        "self_attn.k_norm": "attention.k_norm",
        "mlp.gate_proj": "feed_forward.w1",
        "mlp.down_proj": "feed_forward.w2",
        "mlp.up_proj": "feed_forward.w3",
    }
    if family in ("olmo2", "olmo3"):
        modules |= {"post_attention_layernorm": norms[0], "post_feedforward_layernorm": norms[1]}
    else:
        modules |= {"input_layernorm": norms[0], "post_attention_layernorm": norms[1]}
    return {
        f"model.{_renamed(name, modules).replace('model.layers.', 'blocks.')}": values
        for name, values in state.items()
    }


def _renamed(name: str, modules: Mapping[str, str]) -> str:
    module, _, kind = name.rpartition(".")
    layer = re.match(r"(model\.layers\.\d+\.)(.*)", module)
    start, rest = layer.groups() if layer else ("", module)
    return f"{start}{modules[rest]}.{kind}"
