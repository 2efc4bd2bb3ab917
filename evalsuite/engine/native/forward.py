"""One pass of a batch through a model, and the logits at the positions that are wanted."""

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
    """Logits at (rows[i], columns[i]) of one forward, and the model's cache if it made one.

    Args:
        ids: (batch, length) token ids, int64, on the model's device.
        rows, columns: (n,) positions within `ids`.
        options: further arguments of the model's forward; those that it does not take are left out
            (`position_ids` of models without positions), except the cache.

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
    """(last, vocabulary) float32 logits at the last positions of one sequence, by the model's own pass over
    it alone.

    Nothing is padded, cached or given but the token ids: this is what every other form of computing is held
    against.

    Args:
        positions: count from 0, as transformers' `generate` tells all models to, also those that else do not.
    """
    if loaded.lengths and loaded.lengths.each:
        forget_longest(loaded.model)
    options: dict[str, Any] = {"use_cache": False} if "use_cache" in loaded.parameters else {}
    tokens = torch.tensor([list(ids)], device=loaded.device)
    if positions and "position_ids" in loaded.parameters:
        options["position_ids"] = torch.arange(len(ids), device=loaded.device)[None]
    return loaded.model(input_ids=tokens, **options).logits[0, -last:].float()
