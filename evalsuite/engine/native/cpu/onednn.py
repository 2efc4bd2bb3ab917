"""Matrix products with float32 weights on a CPU, by oneDNN if torch has it.

On one core of an AMD EPYC, torch's default (MKL) reached 95 to 97 GFLOP/s with 2,048 rows, oneDNN 104 to 107.
Copying the weights once into oneDNN's own layout gains another 3 % there, and is 1.4 to 2 times as fast with
the 4 to 16 rows of generation (`benchmarks/products.py`). The layout does not change any digit of the
results.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import linear

TYPICAL_ROWS = 32
"""Rows for which the layout of weights is chosen; it is the same for 8 rows and for 4,096."""
ROOM = 3
"""Copies in oneDNN's layout are made if this many times their size is free."""
OPERATORS = ("_linear_pointwise", "_reorder_linear_weight")


def use_onednn(model: Any) -> None:
    """Run the plain linear layers of a float32 model on a CPU through oneDNN; changes the model in place."""
    if not _has_onednn():
        return
    for module in _plain_layers(model):
        module.__dict__["forward"] = _forward(module)


def lay_out_weights(model: Any, free: int) -> None:
    """Give the layers of `use_onednn` copies of their weights in oneDNN's own layout, if memory holds them.

    Args:
        model: changed in place; its weights must not change afterwards.
        free: free memory in bytes.
    """
    layers = [module for module in _plain_layers(model) if runs_by_onednn(module)]
    if ROOM * sum(module.weight.nbytes for module in layers) > free:
        return
    for module in layers:
        if "laid_out" not in module.__dict__:
            weight = module.weight.detach()
            module.__dict__["laid_out"] = torch.ops.mkldnn._reorder_linear_weight(weight, TYPICAL_ROWS)


def runs_by_onednn(module: Any) -> bool:
    """Whether `use_onednn` has changed this layer."""
    return type(module) is torch.nn.Linear and "forward" in module.__dict__


def weight_for(module: torch.nn.Linear, inputs: torch.Tensor) -> torch.Tensor:
    """The copy in oneDNN's layout, if there is one; but not for a single row, which it would not speed up.

    For a single row the copy would also change digits.
    """
    if inputs.numel() == module.in_features:
        return module.weight
    weight: torch.Tensor = module.__dict__.get("laid_out", module.weight)
    return weight


def _plain_layers(model: Any) -> Iterator[torch.nn.Linear]:
    for module in model.modules():
        moved = hasattr(module, "_hf_hook")  # accelerate moves its weights to the device where it runs
        if type(module) is torch.nn.Linear and _is_plain(module.weight) and not moved:
            yield module


def _has_onednn() -> bool:
    operators = torch.ops.mkldnn
    return torch.backends.mkldnn.is_available() and all(hasattr(operators, name) for name in OPERATORS)


def _is_plain(weight: Any) -> bool:
    """Whether a weight is a plain float32 tensor on the CPU: not sharded, not quantised."""
    plain = type(weight) in (torch.Tensor, torch.nn.Parameter)
    return plain and weight.dtype == torch.float32 and weight.device.type == "cpu"


def _forward(module: torch.nn.Linear) -> Any:
    def forward(inputs: torch.Tensor) -> torch.Tensor:
        if inputs.dtype != torch.float32 or not inputs.numel():
            return linear(inputs, module.weight, module.bias)
        weight = weight_for(module, inputs)
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, module.bias, "none", [], "")
        return output

    return forward
