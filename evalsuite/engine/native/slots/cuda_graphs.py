"""Steps recorded as CUDA graphs. What can be had without a GPU is in `graphs`, and tested there.

**This module has not been run**: it is written after torch 2.13's documentation and source
(torch/cuda/graphs.py).
"""

import contextlib
from collections.abc import Callable, Iterator

import torch

from evalsuite.engine.native.slots.graphs import Recorded


class CudaGraph:
    """A step on a GPU that is launched as one."""

    def __init__(self, graph: torch.cuda.CUDAGraph, output: torch.Tensor) -> None:
        self.graph = graph
        self._output = output
        """Kept, so that its memory belongs to no other graph of the pool."""

    def replay(self) -> torch.Tensor:
        """As in `graphs.Recorded`."""
        self.graph.replay()
        return self._output


class CudaRecorder:
    """Records steps on one GPU; see `graphs.Recorder`."""

    def __init__(self, device: str) -> None:
        # One stream for warming up and recording: cuBLAS takes its workspace for a stream when it is first
        # used there, which must not be while a graph's own memory is handed out.
        self._stream = torch.cuda.Stream(device)

    def warm_up(self, step: Callable[[], torch.Tensor]) -> None:
        """Compile and tune kernels by one run; the second one fails where the host would wait for the GPU.

        So most of what cannot be recorded is found before that is tried.
        """
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        try:
            with torch.cuda.stream(self._stream):
                step()
                with _no_waiting():
                    step()
        finally:
            # Also after a failure: what the step has begun must not go on beside what follows.
            current.wait_stream(self._stream)

    def record(self, step: Callable[[], torch.Tensor], beside: Recorded | None) -> CudaGraph:
        """Capture the step."""
        graph = torch.cuda.CUDAGraph()
        pool = beside.graph.pool() if isinstance(beside, CudaGraph) else torch.cuda.graph_pool_handle()
        capture = torch.cuda.graph(graph, pool=pool, stream=self._stream, capture_error_mode="thread_local")
        try:
            # The outer context gives the stream back where the inner one fails at its end.
            with torch.cuda.stream(self._stream), capture:
                output = step()
        except Exception:
            # Before torch 2.12 (pytorch pull request 180395) a failure leaves the allocator in the belief
            # that recording goes on, and it gives no memory back any more.
            with contextlib.suppress(Exception):
                torch._C._cuda_endAllocateToPool(self._stream.device.index, pool)
            raise
        return CudaGraph(graph, output)


@contextlib.contextmanager
def _no_waiting() -> Iterator[None]:
    """Within this context torch raises where it would wait for the GPU (`.item()`, `nonzero`, copies of host
    memory)."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
