"""Looks at each operation on a pretended GPU: what makes the host wait, and how many bytes are alive."""

import contextlib
import sys
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

PACKAGE = Path(__file__).parents[4] / "evalsuite"
ATEN = torch.ops.aten
NUMBERS = (ATEN._local_scalar_dense.default, ATEN.item.default)


class Watch(TorchDispatchMode):
    """Records waits, and the bytes of all living tensors on the device; enter it after FakeTensorMode.

    A tensor on the device has no numbers: where the host reads one, it gets 0, or True.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        """Number of waits by place in evalsuite's code, as "file function"."""
        self.wide: set[tuple[torch.dtype, str]] = set()
        """Types wider than float32 of tensors of a megabyte or more, with the place that made them."""
        self._live = self._highest = self._before = 0
        self._holders: Counter[int] = Counter()
        self._bytes: dict[int, int] = {}
        self._forbidden = False

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.ops.prim.device.default:
            return func(*args, **kwargs)
        if func in NUMBERS:
            if args[0].device.type == "cuda":
                self.wait()
            # What is asked is whether all is well: whether a prefix is finite.
            return args[0].dtype == torch.bool or _numpy_type(args[0])(0)
        if func is ATEN.scaled_dot_product_attention.default and args[0].device.type == "cuda":
            # A GPU has fused kernels for it; without a GPU, torch would hold all scores.
            with self:
                return args[0].new_empty((*args[0].shape[:-1], args[2].shape[-1]))
        if func is ATEN.index.Tensor and (mask := _mask_in(args[1])) is not None:
            self.wait()  # for the number of chosen elements; here all are
            with self:
                return args[0].new_empty((mask.numel(), *args[0].shape[mask.ndim :]))
        if func._can_decompose():
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        pinned = kwargs.pop("pin_memory", False)
        if _waits(func, args, kwargs):
            self.wait()
        elif self._forbidden and _crosses(func, args, kwargs):
            raise AssertionError(f"{place()} copies from the host in a step that is to be captured")
        result = func(*args, **kwargs)
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf, pinned)
        return result

    def begin(self) -> None:
        """Count from here: waits, wide tensors, and the bytes beside those that are alive now."""
        self.waits.clear()
        self.wide.clear()
        self._before = self._highest = self._live

    @property
    def peak(self) -> int:
        """Most bytes that were alive at a time, beside those alive at the beginning."""
        return self._highest - self._before

    @property
    def left(self) -> int:
        """Bytes that are alive now and were not at the beginning."""
        return self._live - self._before

    def read(self, tensor: torch.Tensor) -> Any:
        """What `tolist` reads: zeros, after one wait for a tensor on the device."""
        if tensor.device.type == "cuda":
            self.wait()
        return np.zeros(tuple(tensor.shape)).astype(_numpy_type(tensor)).tolist()

    def wait(self) -> None:
        """Record that the host waits for the device here."""
        if self._forbidden:
            raise AssertionError(f"{place()} waits in a step that is to be captured")
        self.waits[place()] += 1

    @contextlib.contextmanager
    def nothing_from_the_host(self) -> Iterator[None]:
        """Within this context a wait, or a copy from the host, is an error: a graph cannot repeat it."""
        self._forbidden = True
        try:
            yield
        finally:
            self._forbidden = False

    def _see(self, tensor: torch.Tensor, pinned: bool) -> None:
        if tensor.device.type != "cuda":
            if pinned:
                pin(tensor)
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if not self._holders[key]:
            self._bytes[key] = storage.nbytes()
            self._live += self._bytes[key]
            self._highest = max(self._highest, self._live)
            if tensor.dtype == torch.float64 and self._bytes[key] >= 2**20:
                self.wide.add((tensor.dtype, place()))
        self._holders[key] += 1
        weakref.finalize(tensor, self._forget, key)

    def _forget(self, key: int) -> None:
        self._holders[key] -= 1
        if not self._holders[key]:
            self._live -= self._bytes.pop(key)
            del self._holders[key]


def pin(tensor: torch.Tensor) -> torch.Tensor:
    """Mark a tensor on the host as pinned: copies from and to it need no wait."""
    tensor.is_pretended_pinned = True  # type: ignore[attr-defined]
    return tensor


def _mask_in(indices: Any) -> torch.Tensor | None:
    """A mask as the first index on the device."""
    first = indices[0]
    return first if first is not None and first.dtype == torch.bool and first.device.type == "cuda" else None


def _numpy_type(tensor: torch.Tensor) -> type:
    return float if tensor.dtype.is_floating_point else int


def _copy_of(func: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, str, str, bool] | None:
    """The host's tensor, the source's and the target's kind of device, and whether the copy is queued."""
    if func is ATEN._to_copy.default:
        source, target = args[0].device.type, torch.device(kwargs.get("device") or args[0].device).type
        # A result on the host is not pinned.
        return args[0], source, target, kwargs.get("non_blocking", False)
    if func is ATEN.copy_.default:
        target, source = args[0].device.type, args[1].device.type
        return args[args[0].device.type == "cuda"], source, target, len(args) > 2 and args[2]
    return None


def _crosses(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    copy = _copy_of(func, args, kwargs)
    return copy is not None and {copy[1], copy[2]} == {"cpu", "cuda"} and copy[0].numel() > 0


def _waits(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether the host waits: a copy between the two that is not queued, or not to or from pinned memory."""
    if not _crosses(func, args, kwargs):
        return False
    host, _, _, queued = _copy_of(func, args, kwargs)  # type: ignore[misc]
    return not (queued and getattr(host, "is_pretended_pinned", False))


def place() -> str:
    """The innermost function of evalsuite that is running, as "file.py function"."""
    frame = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE):
            return f"{path.relative_to(PACKAGE / 'engine' / 'native')} {frame.f_code.co_name}"
        frame = frame.f_back
    return "elsewhere"
