"""Matrix products on a CPU by oneDNN, if torch has it, in float32 and bfloat16.

On one core of an AMD EPYC, torch's default (MKL) reached 95 to 97 GFLOP/s with 2,048 rows, oneDNN 104 to 107.
Copying the weights once into oneDNN's own layout gains another 3 % there, and is 1.4 to 2 times as fast with
the 4 to 16 rows of generation (`benchmarks/products.py`). The layout does not change any digit of the
results.

In bfloat16 torch calls oneDNN by itself, but lays the weights out again in every call. With the copies,
bfloat16 is faster than float32 for any number of rows, also for the few for which it is slower without.
"""

import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import linear

TYPICAL_ROWS = 32
"""Rows for which the layout of weights is chosen; it is the same for 8 rows and for 4,096."""
ROOM = 3
"""Copies in oneDNN's layout are made if this many times their size is free."""
OPERATORS = ("_linear_pointwise", "_reorder_linear_weight")

LAID_OUT = "laid_out"
"""Attribute of a layer that holds the copy of its weights in oneDNN's layout."""

IN_FLOAT32 = "in_float32"
"""Attribute of a half-precision head that is computed in float32 (`head.widen_head`)."""


def use_onednn(model: Any) -> None:
    """Run the plain linear layers of a model on a CPU through oneDNN; changes the model in place.

    Layers in float32, and in bfloat16 if the processor can compute with it.
    """
    for module in _plain_layers(model):
        if runs_in(module.weight.dtype) and "forward" not in module.__dict__:  # a widened head has one
            module.__dict__.update(forward=_forward(module), by_onednn=True)


@functools.cache
def runs_in(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies matrices of a data type on this machine."""
    operators = torch.ops.mkldnn
    if not torch.backends.mkldnn.is_available() or not all(hasattr(operators, name) for name in OPERATORS):
        return False
    if dtype == torch.bfloat16:
        supported = getattr(operators, "_is_mkldnn_bf16_supported", None)
        return bool(supported and supported())
    return dtype == torch.float32


def lay_out_weights(model: Any, free: int) -> None:
    """Give the layers of `use_onednn` copies of their weights in oneDNN's own layout, if memory holds them.

    A half-precision head gets a copy in float32, in which it is computed.

    Args:
        model: changed in place; its weights must not change afterwards.
        free: free memory in bytes.
    """
    layers = [module for module in _plain_layers(model) if runs_by_onednn(module)]
    heads = [head] if (head := _float32_head(model)) is not None else []
    size = sum(module.weight.nbytes for module in layers)
    if ROOM * (size + sum(4 * head.weight.numel() for head in heads)) > free:
        return
    for module in (*layers, *heads):
        if LAID_OUT not in module.__dict__:
            weight = module.weight.detach()
            weight = weight.float() if module in heads else weight
            module.__dict__[LAID_OUT] = torch.ops.mkldnn._reorder_linear_weight(weight, TYPICAL_ROWS)


def _float32_head(model: Any) -> torch.nn.Linear | None:
    """The head if it computes in float32 with half-precision weights that are whole on the CPU."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if head is None or IN_FLOAT32 not in head.__dict__ or hasattr(head, "_hf_hook"):
        return None
    weight: torch.Tensor = head.weight
    whole = type(weight) in (torch.Tensor, torch.nn.Parameter) and weight.device.type == "cpu"
    return head if whole and runs_in(torch.float32) else None


def runs_by_onednn(module: Any) -> bool:
    """Whether `use_onednn` has changed this layer."""
    return type(module) is torch.nn.Linear and module.__dict__.get("by_onednn", False)


def weight_for(module: torch.nn.Linear, inputs: torch.Tensor) -> torch.Tensor:
    """The copy in oneDNN's layout, if there is one; but not for a single row in float32.

    It would not be faster with the copy, which would also change digits. In bfloat16 it is faster, and no
    digit changes.
    """
    if inputs.numel() == module.in_features and inputs.dtype == torch.float32:
        return module.weight
    weight: torch.Tensor = module.__dict__.get(LAID_OUT, module.weight)
    return weight


def _plain_layers(model: Any) -> Iterator[torch.nn.Linear]:
    for module in model.modules():
        moved = hasattr(module, "_hf_hook")  # accelerate moves its weights to the device where it runs
        if type(module) is torch.nn.Linear and _is_plain(module.weight) and not moved:
            yield module


def _is_plain(weight: Any) -> bool:
    """Whether a weight is a plain tensor on the CPU: not sharded, not quantised."""
    plain = type(weight) in (torch.Tensor, torch.nn.Parameter)
    return plain and weight.dtype in (torch.float32, torch.bfloat16) and weight.device.type == "cpu"


def _forward(module: torch.nn.Linear) -> Any:
    def forward(inputs: torch.Tensor) -> torch.Tensor:
        if inputs.dtype != module.weight.dtype or not inputs.numel():
            return linear(inputs, module.weight, module.bias)
        weight = weight_for(module, inputs)
        return product(inputs, weight, module.bias)

    return forward


def product(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`inputs @ weight.T + bias` by oneDNN; all of one data type, the weight in either layout."""
    output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return output
