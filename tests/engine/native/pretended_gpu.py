"""A pretended GPU: tensors of torch's FakeTensorMode "on cuda" have shapes and data types, but no memory.

Models have their full size, and the engine's own code runs over them. Three things are replaced, since they
need a real device: pinned memory, the launch of a Triton kernel (its results are allocated by torch before),
and `torch.cuda`'s choice of a device. Beside that, `Watch` looks at each operation: which of them makes the
host wait for the device, and how many bytes are alive.
"""

import ctypes
import traceback
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = "cuda:0"
ROOT = Path(__file__).parents[3] / "evalsuite"

NUMBERS = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.item.default)
CUDA, META = 1, 14
"""Indices of c10::DeviceType."""


def let_cuda_be_indexed() -> None:
    """Register a device guard for "cuda" that does nothing, the meta device's: indexing asks for a guard.

    Builds of torch for CPUs have none.
    """
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    guards = (ctypes.c_void_p * 20).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    if not guards[CUDA]:
        guards[CUDA] = guards[META]


class Watch(TorchDispatchMode):
    """Records what makes the host wait for the device, and the bytes of all living tensors on it."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        """Number of waits by place in evalsuite's code, as "file function"."""
        self.live = 0
        self.peak = 0
        self.peak_at: list[str] = []
        self.largest: dict[int, tuple[int, tuple[int, ...], torch.dtype]] = {}
        self._tensors: Counter[int] = Counter()
        self._bytes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in NUMBERS and args[0].device.type == "cuda":
            self.waits[_place()] += 1
            return 0.0 if args[0].dtype.is_floating_point else 0
        if func is torch.ops.prim.device.default:
            return func(*args, **kwargs)
        if func._can_decompose():
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if _waits(func, args, kwargs):
            self.waits[_place()] += 1
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and leaf.device.type == "cuda":
                self._see(leaf)
        return result

    def _see(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if not self._tensors[key]:
            self._bytes[key] = storage.nbytes()
            self.live += storage.nbytes()
            if self.live > self.peak:
                self.peak = self.live
        self._tensors[key] += 1
        weakref.finalize(tensor, self._forget, key)

    def _forget(self, key: int) -> None:
        self._tensors[key] -= 1
        if not self._tensors[key]:
            self.live -= self._bytes.pop(key)
            del self._tensors[key]


def _waits(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether the host waits: for a copy from pageable memory, or for any copy to the host."""
    if func is torch.ops.aten._to_copy.default:
        source, target = args[0].device.type, torch.device(kwargs.get("device") or args[0].device).type
        if source == "cpu" and target == "cuda":
            return not kwargs.get("non_blocking", False)
        return source == "cuda" and target == "cpu"
    if func is torch.ops.aten.copy_.default:
        target, source = args[0].device.type, args[1].device.type
        return source != target and not (len(args) > 2 and args[2])
    return False


def _place() -> str:
    """The innermost function of evalsuite that is running, as "file.py function"."""
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename)
        if path.is_relative_to(ROOT):
            return f"{path.relative_to(ROOT)} {frame.name}"
    return "elsewhere"
