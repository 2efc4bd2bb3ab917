"""Whether a loaded model predicts each token from those before it: encoders load as language models, too."""

import torch

from evalsuite.engine.native.differences import allowed_difference, difference_of
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.probe.plain_tokens import plain_tokens
from evalsuite.errors import ModelError
from evalsuite.types import TokenIds

LENGTH = 12
"""Tokens of the two texts that are compared."""


@torch.inference_mode()
def refuse_unless_causal(loaded: LoadedModel, name: str) -> None:
    """Raise ModelError where another last token changes the logits before it.

    A model that cannot run a single text by itself is left to the trials of the engine, which say what is
    wrong.

    Args:
        loaded: the model.
        name: how the user calls it.
    """
    try:
        text = plain_tokens(loaded.model.config, LENGTH + 1)
        other = (*text[: LENGTH - 1], text[LENGTH])
        first, second = (_logits_before_last(loaded, ids) for ids in (text[:LENGTH], other))
    except Exception:  # Models raise errors of every kind.
        return
    if difference_of(second, first) > allowed_difference(loaded.model.dtype):
        raise ModelError(
            f"Model '{name}' ({type(loaded.model).__name__}) is no causal language model: what it predicts for a token "
            "changes with the tokens behind it. evalsuite evaluates models that predict the next token."
        )


def _logits_before_last(loaded: LoadedModel, ids: TokenIds) -> torch.Tensor:
    """float32 (tokens - 1, vocabulary)."""
    accepted = {"use_cache": False} if "use_cache" in loaded.parameters else {}
    logits = loaded.model(input_ids=torch.tensor([ids], device=loaded.device), **accepted).logits
    return logits[0, :-1].float()
