"""Llama-4's attention temperature, by the positions of tokens in their own sequences.

transformers 5.23 computes it from a token's index in the row plus the length of the cache
(`Llama4TextAttention.forward`), which differs from its position on a tree, and in slots of unequal length.
Layers with a temperature have no rotary embedding and no query norm, so that scaling the output of the query
projection is the same.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch


def layers_with_temperature(model: Any) -> tuple[Any, ...]:
    """Attention layers whose queries are scaled by a temperature that depends on the position."""
    return tuple(
        module
        for module in model.modules()
        if getattr(module, "attn_temperature_tuning", False) and not getattr(module, "use_rope", True)
    )


@contextlib.contextmanager
def temperature_at(layers: Sequence[Any], positions: torch.Tensor) -> Iterator[None]:
    """Within this context `layers` scale their queries according to `positions`: (rows or 1, tokens)."""
    original = [layer.attn_temperature_tuning for layer in layers]
    handles = [layer.q_proj.register_forward_hook(_scaling(layer, positions)) for layer in layers]
    for layer in layers:
        layer.attn_temperature_tuning = False
    try:
        yield
    finally:
        for layer, setting, handle in zip(layers, original, handles, strict=True):
            layer.attn_temperature_tuning = setting
            handle.remove()


def _scaling(layer: Any, positions: torch.Tensor) -> Callable[..., torch.Tensor]:
    def scale(module: Any, inputs: Any, queries: torch.Tensor) -> torch.Tensor:
        steps = torch.floor((positions.to(queries.device).float() + 1.0) / layer.floor_scale)
        factors: torch.Tensor = torch.log1p(steps) * layer.attn_scale + 1.0  # (rows or 1, tokens)
        return (queries * factors[..., None]).to(queries.dtype)  # (rows, tokens, width)

    return scale
