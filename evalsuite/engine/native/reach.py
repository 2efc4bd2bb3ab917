"""How far back a token attends: to all earlier tokens, to a sliding window, or within its chunk (Llama-4)."""

from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from evalsuite.engine.planning.plan import Ints

Depths = TypeVar("Depths", int, Ints, torch.Tensor)
"""Positions of tokens in their own sequences, from 0."""
CHUNKED = "chunked_attention"
"""The name in a configuration's `layer_types` of layers with chunks of `attention_chunk_size` tokens."""


@dataclass(frozen=True, slots=True)
class Reach:
    """To which earlier tokens a token attends; without a limit, to all of them."""

    window: int | None = None
    """To how many tokens a token attends, itself included."""
    chunk: int | None = None
    """Tokens per chunk of a sequence; a token attends only within its chunk. Used only without a window."""

    @property
    def is_limited(self) -> bool:
        """Whether a token may be unable to attend to an earlier token."""
        return self.window is not None or self.chunk is not None

    def first(self, query: Depths) -> Depths:
        """The first depth to which a token at depth `query` attends; below 0 if the window is longer."""
        if self.window is not None:
            return query - self.window + 1
        if self.chunk is not None:
            return query - query % self.chunk
        return query * 0

    def sees(self, query: Depths, key: Depths) -> Any:
        """Whether a token at depth `query` attends to an earlier one at depth `key`; also elementwise."""
        return key >= self.first(query)

    def cuts(self, length: int, deepest: int) -> bool:
        """Whether the limit hides any earlier token among `length` adjacent ones, none beyond `deepest`."""
        if self.window is not None:
            return length > self.window
        return self.chunk is not None and deepest >= self.chunk


def reach_of(module: Any, window: int | None) -> Reach:
    """The reach of an attention layer: its window as passed to the interface, its chunks as configured."""
    if window is not None:
        return Reach(window)
    config = getattr(module, "config", None)
    kinds, layer = getattr(config, "layer_types", None) or (), getattr(module, "layer_idx", None)
    if layer is None or layer >= len(kinds) or kinds[layer] != CHUNKED:
        return Reach()
    return Reach(chunk=getattr(config, "attention_chunk_size", None) or None)
