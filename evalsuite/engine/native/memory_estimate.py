"""Estimates a model's memory from its files, before anything is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.files import read_config
from evalsuite.checkpoints.weights import weight_bytes

ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
LOGIT_BYTES = 8
"""Bytes of each float32 logit and its log-probability."""
SLOT_SCORES_BYTES = 2**30
"""Most bytes of attention scores over slots on a GPU (`slots.attention`): four tensors of 2^26 float32."""
SCAN_WORKSPACE = 2**29
"""Most bytes of states that a scan over a tree holds on a GPU (`trees.kernels.workspace`)."""
POSITIONS_PER_CHUNK = 256
"""Positions whose logits are computed at a time, unless memory for more is ample (`sizes`)."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes of memory that scoring needs."""

    weights: int
    a_token: int
    """Bytes per token of a forward pass: the largest set of tensors that a layer holds at a time."""
    a_position: int
    """Bytes per position of a pass over prompts of texts, by the model's own code."""
    vocabulary: int
    head: int = 0
    """Bytes of the LM head in float32."""
    is_recurrent: bool = False
    """Whether the model has Mamba-2 layers."""

    def activations(self, tokens: int, positions: int = POSITIONS_PER_CHUNK) -> int:
        """Bytes of a forward pass over `tokens` tokens, with the logits of `positions` at a time."""
        return self.a_token * tokens + LOGIT_BYTES * positions * self.vocabulary

    def on_gpu(self, tokens: int, positions: int = POSITIONS_PER_CHUNK) -> int:
        """`activations` on a GPU, where scans also hold states of many chunks at once."""
        return self.activations(tokens, positions) + (SCAN_WORKSPACE if self.is_recurrent else 0)

    def prefill(self, positions: int, rows: int) -> int:
        """Bytes of a forward pass over `rows` prompts, padded to `positions` positions in all."""
        return self.a_position * positions + LOGIT_BYTES * rows * self.vocabulary + SLOT_SCORES_BYTES

    def divided(self, processes: int) -> "Needs":
        """The same where `processes` divide the weights."""
        return replace(self, weights=self.weights // processes)


def needs_of(files: ModelFiles, dtype: str, device: str = "cuda") -> Needs:
    """The memory that a model needs in a resolved data type on a resolved device."""
    return needs_by_config(read_config(files), weight_bytes(files, ITEM_BYTES[dtype]), dtype, device)


def needs_by_config(config: Mapping[str, Any], weights: int, dtype: str, device: str = "cuda") -> Needs:
    """The memory that a model of this configuration needs, with the bytes of its weights."""
    width = first_of(config, ("hidden_size", "n_embd", "d_model"), 4096)
    inner = first_of(config, ("intermediate_size", "n_inner", "ffn_dim"), 4 * width)
    vocabulary = first_of(config, ("vocab_size",), 2**18)
    item = ITEM_BYTES[dtype]
    attended = 4 if device == "cpu" else item
    # An MLP holds three tensors of its inner width. Attention holds nine tensors of the model's width
    # (queries, expanded keys and values, their copies by block, their rotated forms, the result), on a CPU in
    # float32. Both also hold the residual and its normalised form. A Mamba-2 layer holds, for each of its
    # channels, the projection, the convolution's input and result, and in float32 the convolution's result,
    # the state's input and the state's output.
    heads, head_width = mamba_heads(config)
    recurrent = (5 * item + 22) * heads * head_width
    a_token = 2 * item * width + max(3 * item * inner, 9 * attended * width, recurrent)
    a_position = a_token + _own_scan(config)
    return Needs(weights, a_token, a_position, vocabulary, 4 * vocabulary * width, heads > 0)


HEADS_AND_WIDTHS = (
    ("mamba_num_heads", "mamba_head_dim"),
    ("mamba_n_heads", "mamba_d_head"),
    ("n_mamba_heads", "mamba_headdim"),
)
"""Configuration fields of the number and the width of Mamba-2 heads, by family."""
STATE_SIZES = ("ssm_state_size", "mamba_d_state", "state_size")


def mamba_heads(config: Mapping[str, Any]) -> tuple[int, int]:
    """Number and width of Mamba-2 heads; 0 and 0 if the model has none."""
    names = (("num_heads", "head_dim"),) if config.get("model_type") == "mamba2" else ()
    for heads, width in (*HEADS_AND_WIDTHS, *names):
        if isinstance(config.get(heads), int):
            return config[heads], first_of(config, (width,), 64)
    return 0, 0


def _own_scan(config: Mapping[str, Any]) -> int:
    """Bytes per position of transformers' own scan of Mamba-2, where mamba-ssm is missing.

    It holds, in float32 for each head, matrices of a chunk's length (three at a time), B and C expanded to
    all heads with a third tensor of their size, and four tensors of the head's width.
    """
    heads, width = mamba_heads(config)
    chunk = first_of(config, ("chunk_size", "mamba_chunk_size"), 256)
    state = first_of(config, STATE_SIZES, 128)
    # Before 5.18, transformers multiplies C and B of all pairs in a chunk and sums over the state afterwards.
    products = chunk * state if _transformers_version() < (5, 18) else 0
    return 4 * heads * (3 * chunk + 3 * state + 4 * width + products)


def _transformers_version() -> tuple[int, ...]:
    return tuple(int(part) for part in metadata.version("transformers").split(".")[:2])


def first_of(config: Mapping[str, Any], names: tuple[str, ...], otherwise: int) -> int:
    """The first of a configuration's fields `names` that is an integer."""
    values = (config.get(name) for name in names)
    return next((value for value in values if isinstance(value, int)), otherwise)
