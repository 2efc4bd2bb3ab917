"""Counts what a device is told to do: launches on a GPU, operations on a CPU."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


def launches(work: Callable[[], Any], device: str) -> int:
    """Kernel launches of `work()` on a GPU, where a replayed graph is a single launch.

    On a CPU, the number of torch's operations that compute: the launches that a GPU would see without kernels
    of evalsuite's own, since views launch nothing.
    """
    return _on_gpu(work) if device.startswith("cuda") else _on_cpu(work)


def _on_gpu(work: Callable[[], Any]) -> int:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        work()
        torch.cuda.synchronize()
    # cudaLaunchKernel, cudaLaunchKernelExC, cuLaunchKernel, cuLaunchKernelEx, cudaGraphLaunch
    return sum(event.name.startswith("cu") and "Launch" in event.name for event in profiled.events())


class _Operations(TorchDispatchMode):
    """Counts the operations whose results are no views."""

    count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not function.is_view
        return function(*args, **kwargs or {})


def _on_cpu(work: Callable[[], Any]) -> int:
    with _Operations() as operations:
        work()
    return operations.count


def wait(device: str) -> None:
    """Wait until a GPU has done what it was told; a CPU has."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
