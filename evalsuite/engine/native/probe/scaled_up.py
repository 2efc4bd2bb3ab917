"""Trials with scaled-up activations, so that clamps and soft caps take effect.

A trial's short row reaches neither the clamp of a gate (GPT-OSS: 7) nor the soft cap of attention (Gemma 2:
50), and so cannot reveal a form of computation that omits them. In most models, layers begin with a
normalisation, so that scaling the embeddings has no effect; scaling the normalisations' output has: queries,
keys, values, gates and logits all grow with it.
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
"""Attention scores grow by its square. Trained activations, a few units, then exceed every known cap."""

DRAWS = 3
"""Draws of noise that show the effect of rounding: a single one may happen to meet no near tie."""


@contextlib.contextmanager
def scaled_up(model: Any, rounding: float = 0.0, seed: int = 0) -> Iterator[None]:
    """Within this context embeddings and normalisations give `SCALE` times their output; weights stay as is.

    Args:
        model: transformers' module.
        rounding: standard deviation of relative random noise that is added to each value.
        seed: of the noise.
    """
    random = torch.Generator().manual_seed(seed)

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
    """Embeddings and normalisations, whose class names vary by family (`LlamaRMSNorm`, `LayerNorm`)."""
    embeddings = model.get_input_embeddings()
    return [
        module
        for module in model.modules()
        if module is embeddings or "norm" in type(module).__name__.lower()
    ]


@torch.inference_mode()
def scaled_difference(
    loaded: LoadedModel, difference: Callable[[], float], rows: Sequence[TokenIds], allowed: float
) -> float:
    """The result of `difference` with scaled-up activations; 0 if rounding alone has an effect as large.

    With large scores, a softmax selects a single key, so that among near ties the last bit may decide.

    Args:
        loaded: the model.
        difference: difference of a form of computation from plain passes, as a share of the spread.
        rows: sequences whose plain passes show the effect of rounding.
        allowed: a difference up to which the effect of rounding is not checked.
    """
    with scaled_up(loaded.model):
        found = difference()
        if found <= allowed:
            return found
        own = torch.stack([plain_logits(loaded, ids)[0] for ids in rows])
    for seed in range(DRAWS):
        with scaled_up(loaded.model, torch.finfo(loaded.model.dtype).eps, seed):
            rounded = torch.stack([plain_logits(loaded, ids)[0] for ids in rows])
        if found <= difference_of(rounded, own):
            return 0.0
    return found
