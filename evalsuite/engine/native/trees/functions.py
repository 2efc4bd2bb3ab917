"""The functions by which transformers' recurrent layers mix tokens (5.23), and their replacement.

Mixers call them as module-level functions.
"""

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

CONV, MAMBA_2_SCAN = "causal_conv1d_fn", "mamba2_chunk_scan"
DELTA_RULES = ("torch_chunk_gated_delta_rule", "chunk_kimi_delta_attention")
RECURRENCES = (MAMBA_2_SCAN, *DELTA_RULES)

Function = Callable[..., Any]

_current = threading.local()


@contextlib.contextmanager
def replaced(model: Any, functions: Mapping[str, Callable[[Function], Function]]) -> Iterator[None]:
    """Within this context, in this thread, a model's layers call other functions.

    Functions that an outer context replaces remain replaced.

    Args:
        model: a transformers model.
        functions: by function name, a factory that makes the replacement from the original function.
    """
    for module in {sys.modules[type(layer).__module__] for layer in model.modules()}:
        for name in functions:
            if hasattr(module, name) and not hasattr(getattr(module, name), "replaceable"):
                setattr(module, name, _replaceable(name, getattr(module, name)))
    previous = getattr(_current, "functions", {})
    _current.functions = {**previous, **functions}
    try:
        yield
    finally:
        _current.functions = previous


@contextlib.contextmanager
def originals_kept(model: Any) -> Iterator[None]:
    """After this context, no more functions of a model's code can be replaced than before it."""
    modules = {sys.modules[type(layer).__module__] for layer in model.modules()}
    before = {(module, name) for module in modules for name in _replaceable_in(module)}
    try:
        yield
    finally:
        for module in modules:
            for name in _replaceable_in(module):
                if (module, name) not in before:
                    setattr(module, name, getattr(module, name).__wrapped__)


def _replaceable_in(module: Any) -> list[str]:
    return [name for name, value in vars(module).items() if "replaceable" in getattr(value, "__dict__", ())]


def _replaceable(name: str, original: Function) -> Function:
    @functools.wraps(original)
    def dispatch(*args: Any, **options: Any) -> Any:
        make = getattr(_current, "functions", {}).get(name)
        return (make(original) if make else original)(*args, **options)

    dispatch.replaceable = True  # type: ignore[attr-defined]  # a mark that `replaced` looks for
    return dispatch
