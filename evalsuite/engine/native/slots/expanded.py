"""Layers that compute keys and values from cached latents, as multi-head latent attention (MLA) does.

transformers' cache then holds the latents (DeepSeek-V2, 2024), from which every forward pass would compute
the keys of all earlier tokens again. Slots store the expanded keys and values, so that each is computed once.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.probe.attention_options import attention_named

NAME = "evalsuite_shapes"
"""The name in transformers of the attention function that records its arguments."""


def as_attended(loaded: LoadedModel, cache: Any, run: Callable[[], Any]) -> tuple[Any, frozenset[int]]:
    """A cache of one token with the keys and values that its layers attend to, and the expanded layers.

    Args:
        loaded: the model.
        cache: transformers' own cache after a forward pass of one token.
        run: runs this pass again.
    """
    from transformers import AttentionInterface

    attended: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def attend(module: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> tuple[Any, None]:
        attended.setdefault(getattr(module, "layer_idx", -1), (key, value))
        return value.repeat_interleave(query.shape[1] // value.shape[1], dim=1).transpose(
            1, 2
        ).contiguous(), None

    AttentionInterface.register(NAME, attend)
    with attention_named(loaded.model, NAME):
        run()
    expanded = frozenset(
        index for index, layer in enumerate(cache.layers) if _differs(layer, attended.get(index))
    )
    if not expanded:
        return cache, expanded
    layers = [
        SimpleNamespace(
            keys=attended[index][0],
            values=attended[index][1],
            conv_states=getattr(layer, "conv_states", {}),
            recurrent_states=getattr(layer, "recurrent_states", {}),
        )
        if index in expanded
        else layer
        for index, layer in enumerate(cache.layers)
    ]
    return SimpleNamespace(layers=layers), expanded


def _differs(layer: Any, attended: tuple[torch.Tensor, torch.Tensor] | None) -> bool:
    """Whether the keys or values that a layer attends to differ in shape from the tensors in its cache."""
    cached = [
        part for part in (getattr(layer, "keys", None), getattr(layer, "values", None)) if part is not None
    ]
    if attended is None or len(cached) < len(attended):
        return False
    return any(stored.shape[1::2] != used.shape[1::2] for stored, used in zip(cached, attended, strict=True))
