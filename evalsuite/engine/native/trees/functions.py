"""The functions by which transformers' recurrent layers mix tokens (5.23), and how others take their place.

Mixers call them as functions of their module.
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
    """Within this context and in its thread a model's layers call other functions.

    Args:
        model: of transformers.
        functions: by name, what makes the function to be called from the usual one.
    """
    for module in {sys.modules[type(layer).__module__] for layer in model.modules()}:
        for name in functions:
            if hasattr(module, name) and not hasattr(getattr(module, name), "replaceable"):
                setattr(module, name, _replaceable(name, getattr(module, name)))
    before = getattr(_current, "functions", {})
    _current.functions = functions
    try:
        yield
    finally:
        _current.functions = before


def _replaceable(name: str, usual: Function) -> Function:
    @functools.wraps(usual)
    def chosen(*args: Any, **options: Any) -> Any:
        make = getattr(_current, "functions", {}).get(name)
        return (make(usual) if make else usual)(*args, **options)

    chosen.replaceable = True  # type: ignore[attr-defined]
    return chosen
