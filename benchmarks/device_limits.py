"""What bounds a forward pass: the device's peak rates, and the numbers that a model's products read."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from launches import wait


@dataclass(frozen=True)
class Limits:
    """The device's peak rates."""

    products: float
    """Floating-point operations per second."""
    copies: float
    """Bytes read and written per second."""


def limits(device: str, dtype: torch.dtype) -> Limits:
    """Measure a square matrix product and a copy."""
    side, count = (8192, 2**30) if device.startswith("cuda") else (1024, 2**24)
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    source = torch.zeros(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = _seconds(lambda: torch.mm(left, right), device)
    copy = _seconds(lambda: target.copy_(source), device)
    return Limits(2 * side**3 / product, 2 * count / copy)


def _seconds(work: Callable[[], Any], device: str, repeats: int = 20) -> float:
    """The seconds of one call, after warm-up."""
    for _ in range(3):
        work()
    wait(device)
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    wait(device)
    return (time.perf_counter() - began) / repeats


def weights_of_products(model: Any) -> tuple[int, int, int]:
    """Numbers in the layers' matrices, in the head's, and bytes of all but the embedding's."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    layers = sum(
        one.weight.numel() for one in model.modules() if isinstance(one, torch.nn.Linear) and one is not head
    )
    everything = sum(one.numel() * one.element_size() for one in model.parameters())
    return (
        layers,
        head.weight.numel(),
        everything - embedding.weight.numel() * embedding.weight.element_size(),
    )
