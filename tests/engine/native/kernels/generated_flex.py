"""The Triton program that torch's compiler makes of FlexAttention for a GPU, made without one.

Dynamo and AOTAutograd trace on the CPU. Before Inductor lowers the graph, its fake tensors are moved to a
device "cuda", about which torch.cuda's functions are answered in its place. The program's source is caught
where Inductor would compile it. All this is of torch 2.11 and 2.13.
"""

import contextlib
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from torch._dynamo.backends.common import aot_autograd
from torch._inductor import async_compile
from torch._inductor import config as inductor
from torch._inductor.compile_fx import compile_fx_inner
from torch._inductor.decomposition import select_decomp_table
from torch._inductor.runtime import triton_heuristics
from torch._subclasses import fake_tensor
from torch.nn.attention.flex_attention import flex_attention
from torch.utils._pytree import tree_map
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.trees import flex
from evalsuite.engine.native.trees.tree import Tree

if not torch.__version__.startswith(("2.11.", "2.13.")):
    pytest.skip("it reaches into torch 2.11 and 2.13", allow_module_level=True)

CUDA = torch.device("cuda", 0)
SHOTS = tuple(range(3, 300))
ROWS = [(*SHOTS, *range(branch, branch + 90)) for branch in (1, 2, 3, 400)] + [(7,) * 260]
"""Sequences of a tree that fills several tiles."""
OPTIONS: dict[str, dict[str, Any]] = {
    "full": {"reach": Reach(), "softcap": None, "s_aux": None},
    "window": {"reach": Reach(200), "softcap": None, "s_aux": None},
    "chunk, cap and sinks": {"reach": Reach(chunk=128), "softcap": 2.0, "s_aux": torch.ones(4)},
}
"""Arguments of `attend_by_tile`."""


class Generated(BaseException):
    """Ends compilation when the program's source is known; no `except Exception` catches it."""


class Driver:
    """What Triton and Inductor ask a driver before they compile."""

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return CUDA

    def get_benchmarker(self) -> None:
        return None


def source_of(tree: Tree, parts: list[torch.Tensor], capability: int, **options: Any) -> str:
    """The source for the queries, keys and values `parts`, and further arguments of `attend_by_tile`."""
    compiled = torch.compile(flex_attention, backend=_backend(), dynamic=False, fullgraph=True)
    torch._dynamo.reset()
    with pretended_gpu(capability), mock.patch.object(flex, "_flex_attention", return_value=compiled):
        try:
            with torch.inference_mode():
                flex.attend_by_tile(tree, *parts, **options)
        except Generated as found:
            return str(found)
    raise AssertionError("no program was generated")


def program_of(source: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """The program as Triton's `jit` has it, and what Inductor says of it: signature, tile sizes, warps."""
    path = folder / "generated.py"
    path.write_text(source)
    said: dict[str, Any] = {}

    def template(**options: Any) -> Any:
        said.update(options)
        return lambda program: program

    with mock.patch.object(triton_heuristics, "template", template):
        spec = spec_from_file_location(f"generated_{abs(hash(source))}", path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return getattr(module, said["inductor_meta"]["kernel_name"]), said


@contextlib.contextmanager
def pretended_gpu(capability: int) -> Iterator[None]:
    """Answers about a GPU of this compute capability, which cannot compute anything."""
    properties = SimpleNamespace(
        type="cuda",
        name="a GPU",
        index=0,
        major=capability // 10,
        minor=capability % 10,
        multi_processor_count=132,
        regs_per_multiprocessor=65536,
        max_threads_per_multi_processor=2048,
        max_threads_per_block=1024,
        warp_size=32,
        total_memory=80 << 30,
    )
    answers = {
        "is_available": True,
        "device_count": 1,
        "current_device": 0,
        "_exchange_device": 0,
        "_maybe_exchange_device": 0,
        "_lazy_init": None,
        "get_device_capability": (capability // 10, capability % 10),
        "get_device_properties": properties,
        "_get_device_properties": properties,
        "get_rng_state": torch.zeros(1, dtype=torch.uint8),
        "set_rng_state": None,
        "synchronize": None,
    }
    strides = sys.modules["torch._higher_order_ops.flex_attention"]
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context
        for name, answer in answers.items():
            patch(mock.patch.object(torch.cuda, name, create=True, return_value=answer))
        for name in ("_cuda_getDevice", "_cuda_getCurrentRawStream"):
            patch(mock.patch.object(torch._C, name, create=True, return_value=0))
        # A build of torch for CUDA would ask the driver for its streams, and for memory.
        patch(mock.patch.object(torch.accelerator, "is_available", return_value=False))
        patch(mock.patch.object(fake_tensor, "init_gpu_context"))
        patch(mock.patch.object(torch.version, "cuda", "13.0"))
        patch(mock.patch.object(async_compile.AsyncCompile, "triton", _catch))
        patch(mock.patch.object(strides, "_permute_strides", _permuted(strides._permute_strides)))
        patch(inductor.patch(force_disable_caches=True, compile_threads=1))
        driver.set_active(Driver(capability))
        yield


def _catch(self: Any, name: str, source: str, device_str: str) -> Any:
    if "flex_attention" in name:
        raise Generated(source)
    return None


def _permuted(function: Any) -> Any:
    """The function, which would write into a tensor on the device, called on the CPU."""

    def permuted(output: torch.Tensor, strides: Any) -> torch.Tensor:
        found = function(torch.empty(output.shape, dtype=output.dtype), strides)
        return _moved(found) if output.device.type == "cuda" else found

    return permuted


def _backend() -> Any:
    def lower(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        for module in graph.modules():
            for node in getattr(module, "graph", SimpleNamespace(nodes=())).nodes:
                tree_map(_moved, node.meta.get("val"))
        return compile_fx_inner(graph, [*map(_moved, inputs)])

    return aot_autograd(fw_compiler=lower, inference_compiler=lower, decompositions=select_decomp_table)


def _moved(value: Any) -> Any:
    if isinstance(value, fake_tensor.FakeTensor):
        value.fake_device = CUDA
    return value
