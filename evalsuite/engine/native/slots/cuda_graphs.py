"""Decode steps captured as CUDA graphs. Everything that works without a GPU is in `graphs`, and tested there.

**This module has not been run**: it was written from torch 2.13's documentation and source
(torch/cuda/graphs.py).
"""

import contextlib
from collections.abc import Callable, Iterator

import torch

from evalsuite.engine.native.slots.graphs import Recorded


class CudaGraph:
    """A captured step, which a GPU runs as one launch."""

    def __init__(self, graph: torch.cuda.CUDAGraph, output: torch.Tensor) -> None:
        self.graph = graph
        self._output = output
        """Referenced here so that no other graph of the pool reuses its memory."""

    def replay(self) -> torch.Tensor:
        """Run the step; see `graphs.Recorded`."""
        self.graph.replay()
        return self._output


class CudaRecorder:
    """Captures steps on one GPU; see `graphs.Recorder`."""

    def __init__(self, device: str) -> None:
        # One stream for warm-up and capture: cuBLAS allocates a stream's workspace at its first use there,
        # which must not happen during a capture, from the graph's own memory.
        self._stream = torch.cuda.Stream(device)

    def warm_up(self, step: Callable[[], torch.Tensor]) -> None:
        """Compile and tune kernels in a first run; a second run fails if the host would wait for the GPU.

        The second run finds most operations that cannot be captured before the capture is tried.
        """
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        try:
            with torch.cuda.stream(self._stream):
                step()
                with _no_waiting():
                    step()
        finally:
            # Also after a failure: the step's pending work must not overlap with what follows.
            current.wait_stream(self._stream)

    def record(self, step: Callable[[], torch.Tensor], beside: Recorded | None) -> CudaGraph:
        """Capture the step."""
        graph = torch.cuda.CUDAGraph()
        pool = beside.graph.pool() if isinstance(beside, CudaGraph) else torch.cuda.graph_pool_handle()
        capture = torch.cuda.graph(graph, pool=pool, stream=self._stream, capture_error_mode="thread_local")
        try:
            # The outer context restores the stream if the inner context fails on exit.
            with torch.cuda.stream(self._stream), capture:
                output = step()
        except Exception:
            # Before torch 2.12 (pytorch pull request 180395), after a failed capture the allocator behaves as
            # if the capture continued, and frees no memory any more.
            with contextlib.suppress(Exception):
                torch._C._cuda_endAllocateToPool(self._stream.device.index, pool)
            raise
        return CudaGraph(graph, output)


@contextlib.contextmanager
def _no_waiting() -> Iterator[None]:
    """Within this context torch raises where it would wait for the GPU.

    Examples are `.item()`, `nonzero` and copies of host memory.
    """
    original = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(original)
