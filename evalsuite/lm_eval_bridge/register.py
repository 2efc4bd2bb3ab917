"""Makes `evalsuite` a model name of lm-eval.

lm-eval 0.4.13 scans no entry points: a model is known once something has put it into `model_registry` (its
name and place are enough, the class is imported when it is asked for). lm-eval imports torch before it looks
a model up, and torch calls the entry points of `torch.backends` as it is imported; that is where
`register_if_wanted` is called. Where torch was there first, `import evalsuite.lm_eval_bridge.register` does
it, and `python -m evalsuite.lm_eval_bridge` is lm-eval's command with the name known.
"""

import sys
from contextlib import suppress

NAME = "evalsuite"
CLASS = "evalsuite.lm_eval_bridge.model:EvalsuiteLM"


def register() -> None:
    """Add the name to lm-eval's models, once."""
    import lm_eval.models  # noqa: F401 - lm-eval fills an empty registry only, so its own models come first
    from lm_eval.api.registry import model_registry

    if NAME not in model_registry:
        model_registry.register(NAME, target=CLASS)


def register_if_wanted() -> None:
    """The same where lm-eval is in use; in every other program that imports torch it does nothing."""
    if "lm_eval" in sys.modules:
        with suppress(
            ImportError
        ):  # A version of lm-eval without this registry must not keep torch from loading.
            register()


register_if_wanted()
