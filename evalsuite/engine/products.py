"""Matrix products with float32 weights on a CPU, by oneDNN where torch has it.

On one core of an AMD EPYC torch's default (MKL) did 95 to 97 GFLOP/s with 2,048 rows, oneDNN 104 to 107
(`benchmarks/products.py`).
"""

from typing import Any

import torch
from torch.nn.functional import linear


def use_onednn(model: Any) -> None:
    """Let the plain linear layers of a float32 model on a CPU run through oneDNN; changes the model in place."""
    if not _has_onednn():
        return
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if type(module) is torch.nn.Linear and _is_plain(weight):
            module.__dict__["forward"] = _forward(module)


def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _is_plain(weight: Any) -> bool:
    """Not sharded, not quantised, not elsewhere."""
    plain = type(weight) in (torch.Tensor, torch.nn.Parameter)
    return plain and weight.dtype == torch.float32 and weight.device.type == "cpu"


def _forward(module: torch.nn.Linear) -> Any:
    def forward(inputs: torch.Tensor) -> torch.Tensor:
        if inputs.dtype != torch.float32 or not inputs.numel():
            return linear(inputs, module.weight, module.bias)
        return torch.ops.mkldnn._linear_pointwise(inputs, module.weight, module.bias, "none", [], "")

    return forward
