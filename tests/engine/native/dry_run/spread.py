"""A model on two pretended GPUs, as `--device spread` leaves it: accelerate moves what passes."""

from typing import Any

import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module

FIRST, SECOND = "cuda:0", "cuda:1"


def spread(model: Any) -> Any:
    """Put the second half of a model's layers, its last norm and its head on the second GPU."""
    layers = next(module for module in model.modules() if isinstance(module, torch.nn.ModuleList))
    half = len(layers) // 2
    parts = [(layer, FIRST if index < half else SECOND) for index, layer in enumerate(layers)]
    for name, module in model.base_model.named_children():
        if module is not layers:
            parts.append((module, SECOND if "norm" in name else FIRST))
    parts.append((model.get_output_embeddings(), SECOND))
    for module, device in parts:
        _move(module, device)
        add_hook_to_module(module, AlignDevicesHook(device, place_submodules=True), append=True)
    add_hook_to_module(model, AlignDevicesHook(io_same_device=True), append=True)
    return model


def _move(module: torch.nn.Module, device: str) -> None:
    """Fake parameters cannot be moved by assignment, as accelerate would."""
    for inner in module.modules():
        for tensors in (inner._parameters, inner._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    moved = torch.empty_like(tensor, device=device)
                    is_weight = isinstance(tensor, torch.nn.Parameter)
                    tensors[name] = torch.nn.Parameter(moved, requires_grad=False) if is_weight else moved
