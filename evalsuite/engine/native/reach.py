"""How far back a token of an attention layer sees: all that precedes it, a window of it, or its chunk
(Llama-4)."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

Depths = TypeVar("Depths", int, np.ndarray, torch.Tensor)
"""Places of tokens in their own sequences, from 0."""
CHUNKED = "chunked_attention"
"""What `layer_types` of a configuration calls a layer whose chunks have `attention_chunk_size` tokens."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Which of the tokens before it a token sees; without a limit all of them."""

    window: int | None = None
    """How many tokens a token sees, itself included."""
    chunk: int | None = None
    """Into how many tokens each a sequence is cut; a token sees none of an earlier chunk. Only without a
    window."""

    @property
    def is_limited(self) -> bool:
        """Whether some token may not see another before it."""
        return self.window is not None or self.chunk is not None

    def first(self, query: Depths) -> Depths:
        """The least depth that a token at depth `query` sees; below 0 where its window is longer than its
        sequence."""
        if self.window is not None:
            return query - self.window + 1
        if self.chunk is not None:
            return query - query % self.chunk
        return query * 0

    def sees(self, query: Depths, key: Depths) -> Any:
        """Whether a token at depth `query` sees a token before it at depth `key`; of arrays, by element."""
        return key >= self.first(query)

    def cuts(self, length: int, deepest: int) -> bool:
        """Whether some token of a stretch of so many, none deeper than `deepest`, may not see all before it
        there."""
        if self.window is not None:
            return length > self.window
        return self.chunk is not None and deepest >= self.chunk


def reach_of(module: Any, window: int | None) -> Reach:
    """What an attention layer tells: its window as it calls the attention interface, its chunks in its
    configuration."""
    if window is not None:
        return Reach(window)
    config = getattr(module, "config", None)
    kinds, layer = getattr(config, "layer_types", None) or (), getattr(module, "layer_idx", None)
    if layer is None or layer >= len(kinds) or kinds[layer] != CHUNKED:
        return Reach()
    return Reach(chunk=getattr(config, "attention_chunk_size", None) or None)
