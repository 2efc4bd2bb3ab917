"""One forward pass of a batch, and the logits at requested positions."""

from collections.abc import Sequence
from typing import Any

import torch

from evalsuite.engine.native.head import head_at
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.planning.rope import forget_longest
from evalsuite.errors import ModelError


def run_at(
    loaded: LoadedModel, ids: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, **options: Any
) -> tuple[torch.Tensor, Any]:
    """Logits at (rows[i], columns[i]) of one forward pass, and the model's cache if it returns one.

    Args:
        ids: (batch, length) token ids, int64, on the model's device.
        rows, columns: (n,) positions within `ids`.
        options: further arguments of the model's forward; arguments that it does not accept are left out
            (`position_ids` of models without positions).

    Returns:
        (n, vocabulary) logits, and the cache or None.
    """
    accepted = {name: value for name, value in options.items() if name in loaded.parameters}
    if loaded.lengths and loaded.lengths.each:
        forget_longest(loaded.model)
    with head_at(loaded.model, rows, columns) as use:
        output = loaded.model(input_ids=ids, **accepted)
    logits = output.logits[0] if use.gathered else output.logits[rows, columns]
    if logits.shape[0] != rows.shape[0]:
        raise ModelError(
            f"{type(loaded.model).__name__} gave {logits.shape[0]} logits for {rows.shape[0]} positions."
        )
    return logits, getattr(output, loaded.cache_name, None)


@torch.inference_mode()
def plain_logits(
    loaded: LoadedModel, ids: Sequence[int], last: int = 1, *, positions: bool = False
) -> torch.Tensor:
    """Reference logits at the last positions of one sequence, by a plain forward pass over it alone.

    No padding, no cache, no arguments but the token ids: every other form of computation is compared with it.

    Args:
        loaded: the model.
        ids: the sequence.
        last: how many last positions to return.
        positions: pass position ids that count from 0, as transformers' `generate` does for all models, also
            for models that count differently by themselves.

    Returns:
        (last, vocabulary) float32 logits.
    """
    if loaded.lengths and loaded.lengths.each:
        forget_longest(loaded.model)
    options: dict[str, Any] = {"use_cache": False} if "use_cache" in loaded.parameters else {}
    tokens = torch.tensor([list(ids)], device=loaded.device)
    if positions and "position_ids" in loaded.parameters:
        options["position_ids"] = torch.arange(len(ids), device=loaded.device)[None]
    logits: torch.Tensor = loaded.model(input_ids=tokens, **options).logits  # (1, tokens, vocabulary)
    return logits[0, -last:].float()
