"""What a step asks torch for, seen from below: everything that a GPU's graph would, or could not, record."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

FROM_DEVICE = {
    "_local_scalar_dense",
    "nonzero",
    "nonzero_numpy",
    "masked_select",
    "is_nonzero",
    "equal",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "bincount",
    "allclose",
    "argwhere",
}
"""Operations for whose result, or its size, the host has to wait."""
FROM_HOST = {"lift_fresh", "lift_fresh_copy", "scalar_tensor"}
"""Operations that make a tensor of numbers on the host."""
BY_MASK = {"index", "index_put", "index_put_", "_unsafe_index", "_index_put_impl_"}
"""Operations whose size depends on what is in their index, where it is a mask."""


class Watching(TorchDispatchMode):
    """Notes each operation, and which tensors from outside it reads or writes."""

    def __init__(self) -> None:
        super().__init__()
        self.forbidden: list[str] = []
        self.operations: list[tuple] = []
        """Name, and all arguments: numbers as they are, tensors by shape, and address if they come from
        outside."""
        self.devices: set[str] = set()
        """Of all tensors."""
        self._made: dict[int, torch.Tensor] = {}
        """By address; kept, so that none is taken for another."""

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        name, kwargs = function._schema.name.removeprefix("aten::"), kwargs or {}
        if name in FROM_DEVICE | FROM_HOST or (name == "repeat_interleave" and len(args) == 1):
            self.forbidden.append(name)
        if name == "histc" and len(args) < 4:
            self.forbidden.append("histc without bounds")
        if name in BY_MASK and any(
            one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1]
        ):
            self.forbidden.append(f"{name} by a mask")
        self.operations.append((name, tree_map(self._seen, (args, kwargs))))
        found = function(*args, **kwargs)
        for one in tree_leaves((args, kwargs, found)):
            if isinstance(one, torch.Tensor):
                self.devices.add(one.device.type)
        for one in tree_leaves(found):
            if isinstance(one, torch.Tensor) and not self._is_from_outside(one, args):
                self._made[_address(one)] = one
        return found

    def _seen(self, one: Any) -> Any:
        if not isinstance(one, torch.Tensor):
            return one
        place = (
            "" if _address(one) in self._made else _address(one) + one.storage_offset() * one.element_size()
        )
        return tuple(one.shape), one.stride(), one.dtype, place

    def _is_from_outside(self, one: torch.Tensor, args: tuple) -> bool:
        """A view of what came from outside, or that itself, written in place."""
        inputs = {_address(other) for other in tree_leaves(args) if isinstance(other, torch.Tensor)}
        return _address(one) in inputs and _address(one) not in self._made


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
