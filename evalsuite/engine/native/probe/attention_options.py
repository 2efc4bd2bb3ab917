"""What transformers' attention interface may hand to an attention function of ours.

A model that asks for more (blocks of keys, biases, a mask of its own) must not be answered as if it had not.
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
"""Options that change nothing in the result; models pass on what they were called with (transformers 5.17 to
5.23)."""


NO_INTERFACE = "its code does not use transformers' attention interface"


class UnknownOptionError(ValueError):
    """An attention layer asked for something that the function does not know; the text says what, in a few
    words."""


def refuse_unknown(mask: Any, options: Mapping[str, Any]) -> None:
    """Raise where a layer asks for more than causal attention with the options that a function takes by name.

    Args:
        mask: the attention mask that the layer was given. Trees and slots build none, so that it is the
            model's own.
        options: what else the layer passed.

    Raises:
        UnknownOptionError: for a mask, and for any option that is neither None nor known to be harmless.
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
    """Whether some of the model's code chooses its attention function by name, as transformers' interface
    lets it."""
    modules = {sys.modules[type(layer).__module__] for layer in model.modules()}
    return any(hasattr(module, "ALL_ATTENTION_FUNCTIONS") for module in modules)


@contextlib.contextmanager
def attention_named(model: Any, name: str) -> Iterator[None]:
    """Within this context the attention layers of a transformers `model` call the function registered as
    `name`."""
    usual = model.config._attn_implementation
    choosing = uses_interface(model)
    if choosing:
        model.set_attn_implementation(name)
    try:
        yield
    finally:
        if choosing:
            model.set_attn_implementation(usual)
