"""Checks that a loaded model predicts tokens from earlier ones: encoders load as language models, too."""

import torch

from evalsuite.engine.native.differences import allowed_difference, difference_of
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.probe.plain_tokens import plain_tokens
from evalsuite.errors import ModelError
from evalsuite.types import TokenIds

LENGTH = 12
"""Tokens of the two compared texts."""


@torch.inference_mode()
def refuse_unless_causal(loaded: LoadedModel, name: str) -> None:
    """Raise ModelError if a different last token changes earlier logits.

    A model that cannot run a single text is not judged here: the engine's trials then name the problem.

    Args:
        loaded: the model.
        name: the user's name for the model.
    """
    try:
        text = plain_tokens(loaded.model.config, LENGTH + 1)
        other = (*text[: LENGTH - 1], text[LENGTH])
        first, second = (_logits_before_last(loaded, ids) for ids in (text[:LENGTH], other))
    except Exception:  # Boundary: models raise errors of every kind.
        return
    if difference_of(second, first) > allowed_difference(loaded.model.dtype):
        raise ModelError(
            f"Model '{name}' ({type(loaded.model).__name__}) is no causal language model: what it predicts "
            "for a token changes with the tokens behind it. evalsuite evaluates models that predict the next "
            "token."
        )


def _logits_before_last(loaded: LoadedModel, ids: TokenIds) -> torch.Tensor:
    """Logits of all positions but the last: (tokens - 1, vocabulary) float32."""
    accepted = {"use_cache": False} if "use_cache" in loaded.parameters else {}
    tokens = torch.tensor([ids], device=loaded.device)  # (1, tokens)
    logits: torch.Tensor = loaded.model(input_ids=tokens, **accepted).logits  # (1, tokens, vocabulary)
    return logits[0, :-1].float()
