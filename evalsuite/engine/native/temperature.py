"""Llama-4's attention temperature, by the positions of tokens in their own sequences.

transformers 5.23 takes it from a token's place in the row, behind as many as the cache holds
(`Llama4TextAttention.forward`), which is another thing on a tree, and in slots of unequal length. Layers with
a temperature have no rotary embedding and no norm of queries, so that nothing lies between the projection and
the scale.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch


def layers_with_temperature(model: Any) -> tuple[Any, ...]:
    """Attention layers whose queries grow with their position."""
    return tuple(
        module
        for module in model.modules()
        if getattr(module, "attn_temperature_tuning", False) and not getattr(module, "use_rope", True)
    )


@contextlib.contextmanager
def temperature_at(layers: Sequence[Any], positions: torch.Tensor) -> Iterator[None]:
    """Within this context such layers scale their queries by `positions` (rows or 1, tokens)."""
    usual = [layer.attn_temperature_tuning for layer in layers]
    handles = [layer.q_proj.register_forward_hook(_scaling(layer, positions)) for layer in layers]
    for layer in layers:
        layer.attn_temperature_tuning = False
    try:
        yield
    finally:
        for layer, before, handle in zip(layers, usual, handles, strict=True):
            layer.attn_temperature_tuning = before
            handle.remove()


def _scaling(layer: Any, positions: torch.Tensor) -> Callable[..., torch.Tensor]:
    def scale(module: Any, inputs: Any, queries: torch.Tensor) -> torch.Tensor:
        steps = torch.floor((positions.to(queries.device).float() + 1.0) / layer.floor_scale)
        factors = torch.log1p(steps) * layer.attn_scale + 1.0
        return (queries * factors[..., None]).to(queries.dtype)

    return scale
