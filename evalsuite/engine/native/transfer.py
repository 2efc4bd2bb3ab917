"""Transfers to a device and back, which run while the device computes."""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import numpy as np
import torch

from evalsuite.engine.planning.plan import Ints


def arrays_to_device(arrays: Sequence[Ints], device: str) -> list[torch.Tensor]:
    """The arrays as int64 tensors on a device; on a GPU, views of one tensor from a single transfer."""
    if not device.startswith("cuda"):
        return [torch.from_numpy(array).to(device) for array in arrays]
    joined = to_device(
        torch.from_numpy(np.concatenate([np.asarray(array, np.int64) for array in arrays])), device
    )
    return [joined[start:end] for start, end in pairwise([0, *accumulate(map(len, arrays))])]


def to_device(tensor: torch.Tensor, device: str) -> torch.Tensor:
    """Copy a CPU tensor to a device, asynchronously to a GPU."""
    if not device.startswith("cuda"):
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def begin_to_host(tensor: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Queue the copy of a tensor to the host; the returned function waits for it and returns the CPU tensor.

    On a GPU it waits for the work queued before this call only, not for what is queued afterwards.
    """
    if not tensor.is_cuda:
        return tensor.cpu
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record(torch.cuda.current_stream(tensor.device))

    def arrived() -> torch.Tensor:
        copied.synchronize()
        return host

    return arrived
