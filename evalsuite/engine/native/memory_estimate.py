"""Estimates a model's memory from its files, before anything is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.files import read_config
from evalsuite.checkpoints.weights import weight_bytes

ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
LOGIT_BYTES = 8
"""Bytes of each float32 logit and its log-probability."""
POSITIONS_PER_CHUNK = 256
"""Positions whose logits are computed at a time, unless memory for more is ample (`sizes`)."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes of memory that scoring needs."""

    weights: int
    a_token: int
    """Bytes per token of a forward pass: the largest set of tensors that a layer holds at a time."""
    vocabulary: int

    def activations(self, tokens: int, positions: int = POSITIONS_PER_CHUNK) -> int:
        """Bytes of a forward pass over `tokens` tokens, with the logits of `positions` at a time."""
        return self.a_token * tokens + LOGIT_BYTES * positions * self.vocabulary

    def divided(self, processes: int) -> "Needs":
        """The same where `processes` divide the weights."""
        return replace(self, weights=self.weights // processes)


def needs_of(files: ModelFiles, dtype: str) -> Needs:
    """The memory that a model needs in a resolved data type."""
    return needs_by_config(read_config(files), weight_bytes(files, ITEM_BYTES[dtype]), dtype)


def needs_by_config(config: Mapping[str, Any], weights: int, dtype: str) -> Needs:
    """The memory that a model of this configuration needs, with the bytes of its weights."""
    width = first_of(config, ("hidden_size", "n_embd", "d_model"), 4096)
    inner = first_of(config, ("intermediate_size", "n_inner", "ffn_dim"), 4 * width)
    vocabulary = first_of(config, ("vocab_size",), 2**18)
    item = ITEM_BYTES[dtype]
    # An MLP holds three tensors of its inner width. Attention holds nine tensors of the model's width
    # (queries, expanded keys and values, their copies by block, their rotated forms, the result). Both also
    # hold the residual and its normalised form. A Mamba-2 layer holds, for each of its channels, the
    # projection, the convolution's input and result, and in float32 the convolution's result, the state's
    # input and the state's output.
    recurrent = (5 * item + 22) * _recurrent_channels(config)
    a_token = 2 * item * width + max(3 * item * inner, 9 * item * width, recurrent)
    return Needs(weights, a_token, vocabulary)


HEADS_AND_WIDTHS = (
    ("mamba_num_heads", "mamba_head_dim"),
    ("mamba_n_heads", "mamba_d_head"),
    ("n_mamba_heads", "mamba_headdim"),
)
"""Configuration fields of the number and the width of Mamba-2 heads, by family."""


def _recurrent_channels(config: Mapping[str, Any]) -> int:
    """Channels of a Mamba-2 layer; 0 if the model has none."""
    for heads, width in HEADS_AND_WIDTHS:
        if heads in config:
            return first_of(config, (heads,), 0) * first_of(config, (width,), 64)
    return 0


def first_of(config: Mapping[str, Any], names: tuple[str, ...], otherwise: int) -> int:
    """The first of a configuration's fields `names` that is an integer."""
    values = (config.get(name) for name in names)
    return next((value for value in values if isinstance(value, int)), otherwise)
