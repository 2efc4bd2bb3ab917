"""Matrix products with float32 weights on a CPU, by oneDNN where torch has it.

On one core of an AMD EPYC torch's default (MKL) did 95 to 97 GFLOP/s with 2,048 rows, oneDNN 104 to 107;
weights that are laid out for it once gain 3 % there, and are 1.4 to 2 times as fast with the 4 to 16 rows of
generation (`benchmarks/products.py`). Laid-out weights give the same digits.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import linear

TYPICAL_ROWS = 32
"""For which weights are laid out; the layout is the same for 8 rows and for 4,096."""
ROOM = 3
"""Laid-out copies are made where so many times their size is free."""
OPERATORS = ("_linear_pointwise", "_reorder_linear_weight")


def use_onednn(model: Any) -> None:
    """Let the plain linear layers of a float32 model on a CPU run through oneDNN; changes the model in
    place."""
    if not _has_onednn():
        return
    for module in _plain_layers(model):
        module.__dict__["forward"] = _forward(module)


def lay_out_weights(model: Any, free: int) -> None:
    """Give the layers of `use_onednn` copies of their weights in oneDNN's own layout, if memory holds them.

    Args:
        model: changed in place; its weights must not change afterwards.
        free: bytes of memory.
    """
    layers = [module for module in _plain_layers(model) if runs_by_onednn(module)]
    if ROOM * sum(module.weight.nbytes for module in layers) > free:
        return
    for module in layers:
        if "laid_out" not in module.__dict__:
            weight = module.weight.detach()
            module.__dict__["laid_out"] = torch.ops.mkldnn._reorder_linear_weight(weight, TYPICAL_ROWS)


def runs_by_onednn(module: Any) -> bool:
    """Whether `use_onednn` has taken this layer."""
    return type(module) is torch.nn.Linear and "forward" in module.__dict__


def weight_for(module: torch.nn.Linear, inputs: torch.Tensor) -> torch.Tensor:
    """The copy in oneDNN's layout, if there is one; for a single row it would change digits and gain
    nothing."""
    if inputs.numel() == module.in_features:
        return module.weight
    return module.__dict__.get("laid_out", module.weight)


def _plain_layers(model: Any) -> Iterator[torch.nn.Linear]:
    for module in model.modules():
        moved = hasattr(module, "_hf_hook")  # by accelerate, to where it runs
        if type(module) is torch.nn.Linear and _is_plain(module.weight) and not moved:
            yield module


def _has_onednn() -> bool:
    operators = torch.ops.mkldnn
    return torch.backends.mkldnn.is_available() and all(hasattr(operators, name) for name in OPERATORS)


def _is_plain(weight: Any) -> bool:
    """Not sharded, not quantised, not elsewhere."""
    plain = type(weight) in (torch.Tensor, torch.nn.Parameter)
    return plain and weight.dtype == torch.float32 and weight.device.type == "cpu"


def _forward(module: torch.nn.Linear) -> Any:
    def forward(inputs: torch.Tensor) -> torch.Tensor:
        if inputs.dtype != torch.float32 or not inputs.numel():
            return linear(inputs, module.weight, module.bias)
        weight = weight_for(module, inputs)
        return torch.ops.mkldnn._linear_pointwise(inputs, weight, module.bias, "none", [], "")

    return forward
