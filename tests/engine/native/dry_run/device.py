"""A pretended GPU: tensors of torch's FakeTensorMode "on cuda" have shapes and types, but no memory.

Models have their full size, and the engine's own code runs over them. Only what needs a real device is
replaced: pinned memory, events, and the launches of kernels, whose results are allocated by torch before.
"""

import ctypes
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from evalsuite.engine.native import kernels
from evalsuite.engine.native.slots.graphs import Recorded
from evalsuite.engine.native.trees import flex
from tests.engine.native.dry_run.watch import Watch, pin

DEVICE = "cuda:0"
CUDA, META = 1, 14
"""Indices of c10::DeviceType."""
OURS = "evalsuite.engine.native."


@contextmanager
def pretended_gpu() -> Iterator[Watch]:
    """Within this context tensors on `DEVICE` are fake, and a watch looks at what is done with them."""
    _let_cuda_be_indexed()
    watch, mode = Watch(), FakeTensorMode()
    with pytest.MonkeyPatch.context() as patch, _stand_in_for_triton():
        patch.setattr(kernels, "kernels_unsupported_reason", lambda device: "")
        patch.setattr(torch.cuda, "device_of", lambda tensor: nullcontext())
        patch.setattr(torch.cuda, "current_stream", lambda device=None: None)
        patch.setattr(torch.cuda, "Event", lambda: _Event(watch))
        patch.setattr(torch.Tensor, "pin_memory", lambda tensor: pin(mode.from_tensor(tensor)))
        patch.setattr(FakeTensor, "tolist", lambda tensor: watch.read(tensor))
        patch.setattr(flex, "_flex_attention", lambda device: _flex_attention)
        with mode, watch:
            yield watch


@dataclass
class Recorder:
    """Captures decode steps as a GPU would: while it does, nothing may come from the host, or wait."""

    watch: Watch

    def warm_up(self, step: Callable[[], torch.Tensor]) -> None:
        step()
        with self.watch.nothing_from_the_host():
            step()

    def record(self, step: Callable[[], torch.Tensor], beside: Recorded | None) -> "Captured":
        with self.watch.nothing_from_the_host():
            return Captured(step())


@dataclass(frozen=True)
class Captured:
    """A captured step."""

    output: torch.Tensor

    def replay(self) -> torch.Tensor:
        return self.output


def on_device(model: Any) -> Any:
    """Move a model from the meta device to the pretended GPU; call it within `pretended_gpu`."""
    moved: dict[int, torch.Tensor] = {}

    def move(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in moved:  # the head may share the embedding's weights
            fake = torch.empty(tensor.shape, dtype=tensor.dtype, device=DEVICE)
            is_weight = isinstance(tensor, torch.nn.Parameter)
            moved[id(tensor)] = torch.nn.Parameter(fake, requires_grad=False) if is_weight else fake
        return moved[id(tensor)]

    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            tensors.update((name, move(part)) for name, part in tensors.items() if part is not None)
    return model


def _let_cuda_be_indexed() -> None:
    """Register a device guard for "cuda" that does nothing, the meta device's: indexing asks for a guard.

    Builds of torch for CPUs have none.
    """
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    guards = (ctypes.c_void_p * (META + 1)).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    if not guards[CUDA]:
        guards[CUDA] = guards[META]


class _Event:
    """An event on the device's queue."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def record(self, stream: Any) -> None:
        pass

    def synchronize(self) -> None:
        self._watch.wait()


def _flex_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, block_mask: Any, return_aux: Any, **_: Any
) -> tuple[torch.Tensor, Any]:
    """The results' shapes of FlexAttention, which only `torch.compile` runs on a GPU."""
    for part in (key, value, block_mask.kv_num_blocks, block_mask.full_kv_indices):
        assert part.device == query.device
    assert key.shape[2] == query.shape[2] == block_mask.seq_lengths[0]
    result = query.new_empty((*query.shape[:3], value.shape[3]))
    lse = query.new_empty(query.shape[:3], dtype=torch.float32) if return_aux.lse else None
    return result, types.SimpleNamespace(lse=lse)


class _Kernel:
    """A kernel whose launch does nothing but look at the devices of its arguments."""

    def __getitem__(self, grid: Any) -> Any:
        return self._launch

    @staticmethod
    def _launch(*arguments: Any, **options: Any) -> None:
        for argument in (*arguments, *options.values()):
            assert not isinstance(argument, torch.Tensor) or argument.device.type == "cuda"


class _Anything:
    """What a kernel's module takes from triton.language when it is imported."""

    def __getattr__(self, name: str) -> Any:
        return _public(name)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return arguments[0] if arguments else self


def _public(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Anything()


def _jit(function: Any = None, **options: Any) -> Any:
    return _Kernel() if function is not None else lambda function: _Kernel()


@contextmanager
def _stand_in_for_triton() -> Iterator[None]:
    """Import the kernels' modules with a stand-in for Triton, and forget both afterwards."""
    triton, language = types.ModuleType("triton"), types.ModuleType("triton.language")
    triton.jit, triton.cdiv = _jit, lambda value, part: -(-value // part)
    triton.next_power_of_2 = lambda value: 1 << max(0, value - 1).bit_length()
    triton.language, language.__getattr__ = language, _public
    before = dict(sys.modules)
    _forget_kernels()
    sys.modules.update({"triton": triton, "triton.language": language})
    try:
        yield
    finally:
        _forget_kernels()
        for name in [name for name in sys.modules if name.partition(".")[0] == "triton"]:
            del sys.modules[name]
        sys.modules.update({name: module for name, module in before.items() if _is_kernel(name)})


def _forget_kernels() -> None:
    for name in filter(_is_kernel, [*sys.modules]):
        del sys.modules[name]


def _is_kernel(name: str) -> bool:
    """Whether a module is Triton, or one of evalsuite's that import it."""
    ours = name.startswith(OURS) and ".kernels." in name
    return ours or name.partition(".")[0] == "triton"
