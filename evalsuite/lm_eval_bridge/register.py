"""Registers `evalsuite` as a model of lm-eval.

lm-eval 0.4.13 has no entry points for models: a model must be added to `model_registry` (by name and path;
the class is imported on demand). lm-eval imports torch before it looks up a model, and torch calls the entry
points of `torch.backends` during its import, which calls `register_if_wanted`. If torch was imported earlier,
`import evalsuite.lm_eval_bridge.register` registers the model, and `python -m evalsuite.lm_eval_bridge` is
lm-eval's command with the model registered.
"""

import sys
from contextlib import suppress

NAME = "evalsuite"
CLASS = "evalsuite.lm_eval_bridge.model:EvalsuiteLM"


def register() -> None:
    """Add `evalsuite` to lm-eval's models, unless it is registered already."""
    import lm_eval.models  # noqa: F401 - lm-eval fills an empty registry only, so its own models come first
    from lm_eval.api.registry import model_registry

    if NAME not in model_registry:
        model_registry.register(NAME, target=CLASS)


def register_if_wanted() -> None:
    """`register` if lm-eval is imported; nothing in other programs that import torch."""
    if "lm_eval" in sys.modules:
        with suppress(
            ImportError
        ):  # A version of lm-eval without this registry must not prevent the import of torch.
            register()


register_if_wanted()
