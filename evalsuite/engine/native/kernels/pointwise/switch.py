"""The context in which a model computes norms, activations and rotary embeddings by kernels."""

import contextlib
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from evalsuite.engine.native.trees.functions import replaced

KERNELS = "kernels"
"""The value of `Paths.pointwise` that switches the kernels on."""


@dataclass(slots=True)
class ModelKernels:
    """What the kernels compute of a model."""

    modules: list[tuple[Any, str, Callable[..., Any]]]
    """Each module, the attribute of its forward method, and the new forward method."""
    rotary: dict[Any, bool | None] = field(default_factory=dict)
    """As `rotary.Rounding`."""


_found: weakref.WeakKeyDictionary[Any, ModelKernels] = weakref.WeakKeyDictionary()
"""By model: the modules are tried once, when they are first needed."""


@contextlib.contextmanager
def pointwise_by(model: Any, path: str, used: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Within this context a model computes by kernels what passed their trials, if `path` says so.

    Args:
        model: a transformers model.
        path: `Paths.pointwise`.
        used: called if a kernel computes; perhaps several times.
    """
    if path != KERNELS:
        yield
        return
    from evalsuite.engine.native.kernels.pointwise.modules import modules_by_kernels
    from evalsuite.engine.native.kernels.pointwise.rotary import ROTARY, by_kernel

    if model not in _found:
        _found[model] = ModelKernels([*modules_by_kernels(model)])
    found = _found[model]
    if found.modules:
        used()
    before = [module.__dict__.get(name) for module, name, _ in found.modules]
    for module, name, forward in found.modules:
        module.__dict__[name] = forward
    try:
        with replaced(model, {ROTARY: by_kernel(found.rotary, used)}):
            yield
    finally:
        for (module, name, _), own in zip(found.modules, before, strict=True):
            if own is None:
                del module.__dict__[name]
            else:
                module.__dict__[name] = own
