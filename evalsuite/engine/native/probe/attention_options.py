"""Options that transformers' attention interface may pass to evalsuite's attention functions.

A model that passes other options (blocks of keys, biases, its own mask) is refused: ignoring them would give
wrong results.
"""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

HARMLESS = frozenset(
    {
        "cache_position",
        "deterministic",
        "logits_to_keep",
        "num_items_in_batch",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "position_ids",
        "return_dict",
        "use_cache",
    }
)
"""Options without effect on attention; models pass their own arguments on (transformers 5.17 to 5.23)."""


NO_INTERFACE = "its code does not use transformers' attention interface"


class UnknownOptionError(ValueError):
    """An attention layer passed an option that evalsuite does not know; the text names it in a few words."""


def refuse_unknown(mask: Any, options: Mapping[str, Any]) -> None:
    """Raise if a layer requests more than causal attention with the function's named options.

    Args:
        mask: the attention mask that the layer got. Trees and slots create none, so that any mask is the
            model's own.
        options: further options that the layer passed.

    Raises:
        UnknownOptionError: there is a mask, or an option that is neither None nor known to be harmless.
    """
    if mask is not None:
        raise UnknownOptionError("its attention has a mask of its own")
    for name, value in options.items():
        if value is None or name in HARMLESS:
            continue
        if (name == "dropout" and not value) or (name == "is_causal" and value is True):
            continue
        raise UnknownOptionError(f"its attention is given {name}, which is not known here")


def uses_interface(model: Any) -> bool:
    """Whether any module of the model selects its attention function by name, by transformers' interface."""
    modules = {sys.modules[type(layer).__module__] for layer in model.modules()}
    return any(hasattr(module, "ALL_ATTENTION_FUNCTIONS") for module in modules)


@contextlib.contextmanager
def attention_named(model: Any, name: str) -> Iterator[None]:
    """Within this context the attention layers of `model` call the function registered as `name`."""
    original = model.config._attn_implementation
    switchable = uses_interface(model)
    if switchable:
        model.set_attn_implementation(name)
    try:
        yield
    finally:
        if switchable:
            model.set_attn_implementation(original)
