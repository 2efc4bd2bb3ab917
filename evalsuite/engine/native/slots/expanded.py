"""Layers that make their keys and values from what they gave the cache, as multi-head latent attention does.

transformers' cache then holds the latents (DeepSeek-V2, 2024), from which every pass would make the keys of
all earlier tokens again. Slots keep what is attended to, so that each is made once.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.probe.attention_options import attention_named

NAME = "evalsuite_shapes"
"""Under which transformers knows the attention that takes down what it is given."""


def as_attended(loaded: LoadedModel, cache: Any, run: Callable[[], Any]) -> tuple[Any, frozenset[int]]:
    """A cache of one token with keys and values as its layers attend to them, and which layers these are.

    Args:
        loaded: the model.
        cache: transformers' own, after a pass of one token.
        run: runs this pass.
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
    expanded = frozenset(at for at, layer in enumerate(cache.layers) if _differs(layer, attended.get(at)))
    if not expanded:
        return cache, expanded
    layers = [
        SimpleNamespace(
            keys=attended[at][0],
            values=attended[at][1],
            conv_states=getattr(layer, "conv_states", {}),
            recurrent_states=getattr(layer, "recurrent_states", {}),
        )
        if at in expanded
        else layer
        for at, layer in enumerate(cache.layers)
    ]
    return SimpleNamespace(layers=layers), expanded


def _differs(layer: Any, attended: tuple[torch.Tensor, torch.Tensor] | None) -> bool:
    """Whether a layer's keys or values have another shape than those in its cache."""
    kept = [
        part for part in (getattr(layer, "keys", None), getattr(layer, "values", None)) if part is not None
    ]
    if attended is None or len(kept) < len(attended):
        return False
    return any(one.shape[1::2] != other.shape[1::2] for one, other in zip(kept, attended, strict=True))
