"""Matrix products with float32 weights on a CPU, by oneDNN where torch has it.

On one core of an AMD EPYC torch's default (MKL) did 95 to 97 GFLOP/s with 2,048 rows, oneDNN 104 to 107; with 4 to
16 rows, as in generation, weights that are laid out for it once are 1.4 to 2 times as fast (`benchmarks/products.py`).
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import linear

FEW_ROWS = 64
"""Rows up to which laid-out weights are used; with more there is little to gain."""
TYPICAL_ROWS = 32
"""For which weights are laid out; it serves all few rows but one about as well."""
ROOM = 2
"""Laid-out copies are made where so many times their size is free."""


def use_onednn(model: Any) -> None:
    """Let the plain linear layers of a float32 model on a CPU run through oneDNN; changes the model in place."""
    if not _has_onednn():
        return
    for module in _plain_layers(model):
        module.__dict__["forward"] = _forward(module)


def lay_out_for_few_rows(model: Any, free: int) -> None:
    """Give the layers of `use_onednn` copies of their weights in oneDNN's own layout, if memory holds them.

    Args:
        model: changed in place; its weights must not change afterwards.
        free: bytes of memory.
    """
    layers = [module for module in _plain_layers(model) if "forward" in module.__dict__]
    if ROOM * sum(module.weight.nbytes for module in layers) > free:
        return
    for module in layers:
        if "laid_out" not in module.__dict__:
            weight = module.weight.detach()
            module.__dict__["laid_out"] = torch.ops.mkldnn._reorder_linear_weight(weight, TYPICAL_ROWS)


def _plain_layers(model: Any) -> Iterator[torch.nn.Linear]:
    for module in model.modules():
        moved = hasattr(module, "_hf_hook")  # by accelerate, to where it runs
        if type(module) is torch.nn.Linear and _is_plain(module.weight) and not moved:
            yield module


def _has_onednn() -> bool:
    operators = torch.ops.mkldnn
    return torch.backends.mkldnn.is_available() and all(
        hasattr(operators, name) for name in ("_linear_pointwise", "_reorder_linear_weight")
    )


def _is_plain(weight: Any) -> bool:
    """Not sharded, not quantised, not elsewhere."""
    plain = type(weight) in (torch.Tensor, torch.nn.Parameter)
    return plain and weight.dtype == torch.float32 and weight.device.type == "cpu"


def _forward(module: torch.nn.Linear) -> Any:
    def forward(inputs: torch.Tensor) -> torch.Tensor:
        if inputs.dtype != torch.float32 or not inputs.numel():
            return linear(inputs, module.weight, module.bias)
        few = inputs.numel() <= FEW_ROWS * module.in_features
        weight = module.__dict__.get("laid_out", module.weight) if few else module.weight
        return torch.ops.mkldnn._linear_pointwise(inputs, weight, module.bias, "none", [], "")

    return forward
