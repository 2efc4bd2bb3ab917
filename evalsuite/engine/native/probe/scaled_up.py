"""Trials with activations scaled up, so that what a model clamps or caps is reached.

A short row of a trial reaches neither the clamp of a gate (GPT-OSS: 7) nor the soft cap of attention (Gemma
2: 50), and so tells nothing about who forgets them. Embeddings do not matter to most models, whose layers
   begin with a normalisation; what
that gives does: queries, keys, values, gates and logits all grow with it.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from evalsuite.engine.native.differences import difference_of
from evalsuite.engine.native.forward import plain_logits
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.types import TokenIds

SCALE = 30.0
"""Scores of attention grow by its square. A trained model's activations, a few units, pass every cap that is
in use."""


@contextlib.contextmanager
def scaled_up(model: Any, rounding: float = 0.0) -> Iterator[None]:
    """Within this context embeddings and the results of normalisations are `SCALE` times as large; weights
    stay.

    Args:
        model: transformers' module.
        rounding: each number is off, besides, by a random share of itself with this standard deviation.
    """
    random = torch.Generator().manual_seed(0)

    def larger(module: Any, inputs: Any, output: Any) -> Any:
        if not isinstance(output, torch.Tensor):
            return output
        if not rounding:
            return output * SCALE
        noise = torch.randn(output.shape, generator=random)
        return output * SCALE * (1 + rounding * noise).to(output)

    handles = [module.register_forward_hook(larger) for module in _scaled_modules(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _scaled_modules(model: Any) -> list[Any]:
    """Embeddings and normalisations, which families name in ways of their own (`LlamaRMSNorm`,
    `LayerNorm`)."""
    embeddings = model.get_input_embeddings()
    return [one for one in model.modules() if one is embeddings or "norm" in type(one).__name__.lower()]


@torch.inference_mode()
def scaled_difference(
    loaded: LoadedModel, difference: Callable[[], float], rows: Sequence[TokenIds], allowed: float
) -> float:
    """What `difference` finds with activations scaled up; 0 where rounding alone moves the model's own passes
    as far.

    Large scores make a softmax choose one of them, so that among near ties the last bit may decide.

    Args:
        loaded: the model.
        difference: of a form of computing from plain passes, as a share of the spread.
        rows: whose plain passes show what rounding does.
        allowed: a difference up to which nobody asks what rounding does.
    """
    with scaled_up(loaded.model):
        found = difference()
        if found <= allowed:
            return found
        own = torch.stack([plain_logits(loaded, ids)[0] for ids in rows])
    with scaled_up(loaded.model, torch.finfo(loaded.model.dtype).eps):
        rounded = torch.stack([plain_logits(loaded, ids)[0] for ids in rows])
    return 0.0 if found <= difference_of(rounded, own) else found
