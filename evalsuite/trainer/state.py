"""Puts a model and its process back as they were before an evaluation, whatever it did to them."""

import contextlib
import random
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from evalsuite.engine.native.trees.functions import originals_kept

COPIED_SHARE = 0.01
"""Buffers are copied up to this share of the weights' bytes."""
COPIED_AT_LEAST = 2**20
"""Bytes of buffers that are copied in any case."""


@contextlib.contextmanager
def kept_as_it_is(model: torch.nn.Module) -> Iterator[None]:
    """Within this context a model may be changed but for its weights; afterwards it is as before.

    Put back are all attributes of all submodules (training mode, hooks, replaced functions, buffers, caches
    of tensors), configurations, `requires_grad`, the random generators of torch, Python and NumPy, and
    torch's default data type and device. Weights are not copied; a warning says if the
    model's own code wrote to them.

    Inside, gradients and autocast are off, the default data type is float32 and the default device the CPU.

    Args:
        model: with all of its wrappers.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_random_generators())
        stack.enter_context(_defaults())
        stack.enter_context(_buffers(model))
        stack.enter_context(_attributes(model))
        stack.enter_context(originals_kept(model))
        stack.enter_context(torch.no_grad())
        for kind in {"cpu", *(weight.device.type for weight in model.parameters())}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextlib.contextmanager
def _attributes(model: torch.nn.Module) -> Iterator[None]:
    """Submodules and configurations, by shallow copies."""
    modules = list(model.modules())
    contents = [_Content(vars(each)) for each in (*modules, *_configurations(modules))]
    trained = [(weight, weight.requires_grad, _version(weight)) for weight in model.parameters()]
    try:
        yield
    finally:
        for content in contents:
            content.put_back()
        for weight, required, _ in trained:
            if weight.requires_grad != required:
                weight.requires_grad_(required)
        if any(_version(weight) != version for weight, _, version in trained):
            warnings.warn("The model's own code wrote to its weights during the evaluation.", stacklevel=2)


class _Content:
    """A shallow copy of a dictionary, and of the dictionaries, lists and sets in it."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content
        self._before = dict(content)
        inner = [value for value in content.values() if isinstance(value, dict | list | set)]
        self._inner = [(value, value.copy()) for value in inner if not _has_shares(value)]

    def put_back(self) -> None:
        """Make everything as it was; the dictionaries, lists and sets stay the same objects."""
        for name in self._content.keys() - self._before.keys():
            del self._content[name]
        for name, value in self._before.items():
            if self._content.get(name, self) is not value:
                self._content[name] = value
        for value, before in self._inner:
            if isinstance(value, list):
                value[:] = before
            elif not _same(value, before):
                value.clear()
                value.update(before)


def _has_shares(value: Any) -> bool:
    """Whether these are weights that FSDP2 puts in the place of others by itself."""
    weights = value.values() if isinstance(value, dict) else ()
    return any(hasattr(weight, "device_mesh") for weight in weights)


def _same(one: Any, other: Any) -> bool:
    """Whether two dictionaries or sets hold the same objects in the same order."""
    if isinstance(one, set):
        return bool(one == other)
    return list(one) == list(other) and all(one[key] is other[key] for key in one)


def _configurations(modules: list[torch.nn.Module]) -> list[Any]:
    """The configurations of transformers that the modules refer to, and those within them."""
    transformers = sys.modules.get("transformers")
    if transformers is None:
        return []
    kinds = (transformers.PretrainedConfig, transformers.GenerationConfig)
    found: dict[int, Any] = {}
    waiting = [value for module in modules for value in vars(module).values() if isinstance(value, kinds)]
    while waiting:
        config = waiting.pop()
        if id(config) not in found:
            found[id(config)] = config
            waiting += [value for value in vars(config).values() if isinstance(value, kinds)]
    return list(found.values())


@contextlib.contextmanager
def _buffers(model: torch.nn.Module) -> Iterator[None]:
    """Contents of buffers, which forward passes may write (counters of a router): small ones first."""
    buffers = sorted(
        {id(buffer): buffer for buffer in model.buffers()}.values(), key=lambda each: each.nbytes
    )
    left = max(COPIED_AT_LEAST, COPIED_SHARE * sum(weight.nbytes for weight in model.parameters()))
    copies: list[tuple[torch.Tensor, torch.Tensor | None, int]] = []
    for buffer in buffers:
        left -= buffer.nbytes
        copies.append((buffer, buffer.detach().clone() if left >= 0 else None, _version(buffer)))
    try:
        yield
    finally:
        written = [(buffer, copy) for buffer, copy, version in copies if _version(buffer) != version]
        with torch.no_grad():
            for buffer, copy in written:
                if copy is not None:
                    buffer.copy_(copy)
        if any(copy is None for _, copy in written):
            warnings.warn(
                "A forward pass of the evaluation wrote to a buffer of the model that is too large to copy; "
                "it is not as before.",
                stacklevel=2,
            )


def _version(tensor: torch.Tensor) -> int:
    """How often a tensor was written to; 0 for tensors of inference mode, which do not count it."""
    return 0 if tensor.is_inference() else tensor._version


@contextlib.contextmanager
def _random_generators() -> Iterator[None]:
    """States of the global random generators."""
    numpy = sys.modules.get("numpy")
    of_python, of_numpy = random.getstate(), numpy.random.get_state() if numpy else None
    of_torch = torch.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    of_mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        yield
    finally:
        random.setstate(of_python)
        if numpy:
            numpy.random.set_state(of_numpy)
        torch.set_rng_state(of_torch)
        if devices:
            torch.cuda.set_rng_state_all(devices)
        if of_mps is not None:
            torch.mps.set_rng_state(of_mps)


@contextlib.contextmanager
def _defaults() -> Iterator[None]:
    """Torch's default data type and device."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    torch.set_default_dtype(torch.float32)
    try:
        if device.type == "cpu":
            yield
        else:
            with torch.device("cpu"):
                yield
    finally:
        torch.set_default_dtype(dtype)
