"""Estimates a model's memory from its files, before anything is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.files import read_config
from evalsuite.checkpoints.weights import weight_bytes

ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
POSITIONS_PER_CHUNK = 256
"""Positions whose log-probabilities are computed at a time: they take as much memory as the logits."""

MOST_TOKENS = 2**14
"""Tokens of a packed forward pass where memory is ample; larger packs save little (docs/performance.md)."""
FEWEST_TOKENS = 2**9
SHARE = 0.5
"""Share of the memory left by the weights that a forward pass may use; the rest is for other programs."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes of memory that scoring needs."""

    weights: int
    a_token: int
    """Bytes per token of a forward pass: the largest set of tensors that a layer holds at a time."""
    head: int
    """Bytes of the logits and log-probabilities of a chunk of positions."""

    def activations(self, tokens: int) -> int:
        """Bytes of a forward pass over `tokens` tokens."""
        return self.a_token * tokens + self.head


def needs_of(files: ModelFiles, dtype: str) -> Needs:
    """The memory that a model needs in a resolved data type."""
    config = read_config(files)
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
    return Needs(weight_bytes(files, item), a_token, 2 * 4 * POSITIONS_PER_CHUNK * vocabulary)


def pack_tokens(files: ModelFiles, dtype: str, device: str, processes: int = 1) -> int:
    """Tokens of a packed forward pass: `MOST_TOKENS`, halved until the pass fits into memory.

    A power of two, so that a plan does not change with every free byte. The weights may be divided among
    `processes`.
    """
    from evalsuite.engine.native.memory import free_bytes

    tokens = MOST_TOKENS
    needs = needs_of(files, dtype)
    available = SHARE * (free_bytes(device) - needs.weights // processes)
    while tokens > FEWEST_TOKENS and needs.activations(tokens) > available:
        tokens //= 2
    return tokens


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
