"""Gated feed-forward layers on a CPU, with activation and product fused into oneDNN's matrix products.

`down(act(gate(x)) * up(x))`, the layer of Llama, Qwen, Gemma, OLMo and most others (Shazeer 2020), writes and
reads its widest tensors five times if computed by separate operations.
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
"""oneDNN's name and variant of an activation, by the activation's class."""
LARGEST_DIFFERENCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
"""Allowed difference of the fused result for a row, relative to the row's largest value.

In bfloat16 the fused operations round less often than the separate ones, by 1/256 each time.
"""
TRIAL_ROWS = 5
TRIAL_SCALES = (1e-3, 1.0, 30.0, 1000.0)
"""Magnitudes of the trial's rows and of their gates, so that a clamp in a layer shows (DeepSeek-V4: 10)."""


def fuse_gates(model: Any) -> None:
    """Fuse the gated layers whose linear layers run through oneDNN; changes the model in place.

    `onednn.use_onednn` comes first. Layers are recognised by the names of their parts, and fused only if the
    results agree on random inputs of all magnitudes.
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
        output: torch.Tensor
        if hidden.dtype != gate.weight.dtype or not hidden.numel():
            output = module.down_proj(module.act_fn(gate(hidden)) * up(hidden))
            return output
        gated = products(hidden, weight_for(gate, hidden), gate.bias, activation, [], variant)
        output = module.down_proj(products.binary(hidden, gated, weight_for(up, hidden), up.bias, "mul"))
        return output

    return forward


@torch.inference_mode()
def _same(module: Any, fused: Any) -> bool:
    try:
        hidden = _trial_rows(module.gate_proj)
        expected, found = module(hidden), fused(hidden)
    except (RuntimeError, TypeError):
        return False
    off, largest = (part.abs().amax(dim=-1) for part in (found - expected, expected))
    return bool((off <= LARGEST_DIFFERENCE[hidden.dtype] * largest).all())


def _trial_rows(gate: torch.nn.Linear) -> torch.Tensor:
    """Rows at each of the `TRIAL_SCALES`, and rows that `gate` projects to each of them: (1, rows, width)."""
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn((TRIAL_ROWS, gate.in_features), generator=random)
    dtype = gate.weight.dtype
    projected = gate(hidden.to(dtype)).float().abs().mean().clamp(min=torch.finfo(hidden.dtype).eps)
    scales = torch.tensor(TRIAL_SCALES)
    rows = (torch.cat([scales, scales / projected])[:, None, None] * hidden).flatten(0, 1)[None]
    return rows.to(dtype)
