"""Gated feed-forward layers on a CPU: the gate's activation and product within the matrix products (oneDNN).

`down(act(gate(x)) * up(x))`, the layer of Llama, Qwen, Gemma, OLMo and most others (Shazeer 2020), writes and
reads its widest tensors five times when done by single operations.
"""

from collections.abc import Iterator
from typing import Any

import torch

from evalsuite.engine.native.cpu.onednn import runs_by_onednn, weight_for

ACTIVATIONS = {
    "SiLU": ("swish", ""),
    "SiLUActivation": ("swish", ""),
    "GELUActivation": ("gelu", "none"),
    "GELUTanh": ("gelu", "tanh"),
}
"""oneDNN's name and variant of an activation, by its class."""
LARGEST_DIFFERENCE = 1e-5
"""Between a layer's own result for a row and the fused one, relative to the largest number in it."""
TRIAL_ROWS = 5
TRIAL_SCALES = (1e-3, 1.0, 30.0, 1000.0)
"""Sizes of the rows that are tried, and of what the gate makes of them: a limit within the layer shows
(DeepSeek-V4 clamps at 10)."""


def fuse_gates(model: Any) -> None:
    """Fuse the gated layers whose linear layers run through oneDNN (`use_onednn`); changes the model in
    place.

    A layer is taken by the names of its parts, and only if both ways give the same on random inputs of all
    sizes.
    """
    for module in _gated_layers(model):
        fused = _forward(module)
        if _same(module, fused):
            module.__dict__["forward"] = fused


def _gated_layers(model: Any) -> Iterator[Any]:
    for module in model.modules():
        linear = [getattr(module, name, None) for name in ("gate_proj", "up_proj", "down_proj")]
        activation = type(getattr(module, "act_fn", None)).__name__
        if activation in ACTIVATIONS and all(runs_by_onednn(layer) for layer in linear):
            yield module


def _forward(module: Any) -> Any:
    gate, up = module.gate_proj, module.up_proj
    activation, variant = ACTIVATIONS[type(module.act_fn).__name__]
    products = torch.ops.mkldnn._linear_pointwise

    def forward(hidden: torch.Tensor) -> torch.Tensor:
        if hidden.dtype != torch.float32 or not hidden.numel():
            return module.down_proj(module.act_fn(gate(hidden)) * up(hidden))
        gated = products(hidden, weight_for(gate, hidden), gate.bias, activation, [], variant)
        return module.down_proj(products.binary(hidden, gated, weight_for(up, hidden), up.bias, "mul"))

    return forward


@torch.inference_mode()
def _same(module: Any, fused: Any) -> bool:
    try:
        hidden = _trial_rows(module.gate_proj)
        expected, found = module(hidden), fused(hidden)
    except (RuntimeError, TypeError):
        return False
    off, largest = (part.abs().amax(dim=-1) for part in (found - expected, expected))
    return bool((off <= LARGEST_DIFFERENCE * largest).all())


def _trial_rows(gate: torch.nn.Linear) -> torch.Tensor:
    """(1, rows, width) rows of each of the `TRIAL_SCALES`, and rows that `gate` projects to each of them."""
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn((TRIAL_ROWS, gate.in_features), generator=random)
    projected = gate(hidden).abs().mean().clamp(min=torch.finfo(hidden.dtype).eps)
    scales = torch.tensor(TRIAL_SCALES)
    return (torch.cat([scales, scales / projected])[:, None, None] * hidden).flatten(0, 1)[None]
