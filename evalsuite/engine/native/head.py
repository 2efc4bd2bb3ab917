"""The LM head, applied only to positions whose logits are needed, with float32 output.

Logits of every position (rows x length x vocabulary) would be the largest tensor in memory. Logits rounded to
bfloat16 make the scores of answer letters twice as inexact, and may tie (docs/engines.md has figures).
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from evalsuite.engine.native.cpu import onednn

VOCABULARY_CHUNK = 8192
"""Rows of a half-precision head that are converted to float32 at a time."""


@dataclass(slots=True)
class HeadUse:
    """Whether the LM head ran on gathered positions during one forward pass."""

    gathered: bool = False
    """The head saw only the requested positions."""


@contextlib.contextmanager
def head_at(model: Any, rows: torch.Tensor, columns: torch.Tensor) -> Iterator[HeadUse]:
    """Within this context the model's logits are (1, n, vocabulary) with n = len(rows).

    A hook gathers the hidden states at (rows[i], columns[i]) before the head, so that whatever the model does
    after the head (scaling, soft-capping) still happens. `gathered` stays False if the model has no separate
    head, or does not call it as a module.
    """
    use = HeadUse()
    head = model.get_output_embeddings()
    if head is None:
        yield use
        return

    def gather(module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        use.gathered = True
        hidden = args[0]  # (batch, length, width), on the last layer's device if layers are on several
        gathered = hidden[rows.to(hidden.device), columns.to(hidden.device)]  # (n, width)
        return (gathered[None], *args[1:])

    handle = head.register_forward_pre_hook(gather)
    try:
        yield use
    finally:
        handle.remove()


def widen_head(model: Any) -> None:
    """Make a half-precision linear head return float32; changes the model in place."""
    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear or head.weight.dtype not in (torch.bfloat16, torch.float16):
        return
    # accelerate's hook moves the weights where they are needed and then calls `_old_forward`.
    forward = "_old_forward" if hasattr(head, "_hf_hook") else "forward"
    head.__dict__.update({forward: lambda hidden: _float32_logits(head, hidden), onednn.IN_FLOAT32: True})


def _float32_logits(head: torch.nn.Linear, hidden: torch.Tensor) -> torch.Tensor:
    """Float32 logits of a head, also of a head whose vocabulary is divided among processes."""
    mesh = getattr(head.weight, "device_mesh", None)
    if mesh is None:
        return float32_linear(hidden, head.weight, head.bias, head.__dict__.get(onednn.LAID_OUT))
    from torch.distributed.tensor import DTensor, Replicate, Shard

    divided_head: Any = head
    bias = None if head.bias is None else divided_head.bias.to_local()
    local = float32_linear(hidden, divided_head.weight.to_local(), bias)  # (..., vocabulary / processes)
    shape = torch.Size((*local.shape[:-1], head.out_features))
    stride = torch.empty(shape, device="meta").stride()
    divided = DTensor.from_local(local, mesh, [Shard(-1)], run_check=False, shape=shape, stride=stride)
    whole: torch.Tensor = divided.redistribute(placements=[Replicate()]).to_local()  # (..., vocabulary)
    return whole


def float32_linear(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, copy: torch.Tensor | None = None
) -> torch.Tensor:
    """`hidden @ weight.T + bias` of half-precision tensors, accumulated and returned in float32.

    Args:
        hidden: (..., width).
        weight: (vocabulary, width).
        bias: (vocabulary,), or None.
        copy: the weight in float32 in oneDNN's layout, if there is one.

    Returns:
        (..., vocabulary) float32.
    """
    flat = hidden.flatten(0, -2)
    if hidden.is_cuda:
        logits = torch.mm(flat, weight.T, out_dtype=torch.float32)
    elif copy is not None and len(flat):
        logits = onednn.product(flat.float(), copy, None)
    else:
        by_onednn = hidden.device.type == "cpu" and len(flat) and onednn.runs_in(torch.float32)
        product: Any = onednn.product if by_onednn else torch.nn.functional.linear
        chunks = weight.split(VOCABULARY_CHUNK)
        logits = torch.cat([product(flat.float(), chunk.float(), None) for chunk in chunks], dim=-1)
    if bias is not None:
        logits += bias.float()
    return logits.view(*hidden.shape[:-1], logits.shape[-1])
