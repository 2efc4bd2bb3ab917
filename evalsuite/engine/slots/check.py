"""Whether a model's passes over slots give what its own passes give, found out before they are used."""

import torch

from evalsuite.engine.forward import run_at
from evalsuite.engine.loading import LoadedModel
from evalsuite.engine.memory import is_out_of_memory
from evalsuite.engine.slots.forward import SlotModel, Slots
from evalsuite.types import TokenIds

LARGEST_DIFFERENCE = {torch.float32: 1e-3}
"""By data type, relative to the spread of the logits. A wrong cache is off by their whole spread."""
LARGEST_IN_HALF_PRECISION = 0.1

PREFIX, OWN = 8, (7, 4)
"""Lengths, in tokens, of the prefix and of what follows it in the two rows that are compared."""


def fit_for_slots(loaded: LoadedModel) -> tuple[SlotModel | None, str]:
    """The model with what slots must know of it; or None, and why they do not fit it.

    Compared are the logits after two prompts of unequal length behind one prefix, and after one more
    token each, with those of transformers' own cache and of a pass per prompt.
    """
    try:
        model = SlotModel.of(loaded)
        difference = largest_difference(model)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        message = str(error).strip().split("\n")[0] or type(error).__name__
        return None, f"slots do not fit {type(loaded.model).__name__} ({message})"
    allowed = LARGEST_DIFFERENCE.get(loaded.model.dtype, LARGEST_IN_HALF_PRECISION)
    if difference <= allowed:
        return model, ""
    return None, f"with slots its logits are off by {difference:.2g} of their spread"


@torch.inference_mode()
def largest_difference(model: SlotModel) -> float:
    """Between logits over slots and the model's own, relative to the spread (norm about the mean) of these."""
    vocabulary = model.loaded.model.get_input_embeddings().num_embeddings
    prompts = [
        tuple((37 * at + 11 * row * (at >= PREFIX)) % vocabulary for at in range(PREFIX + own + 1))
        for row, own in enumerate(OWN)
    ]
    slots = Slots(model, len(prompts))
    found = [slots.prefill(model.prefix(prompts[0][:PREFIX]), [prompt[PREFIX:-1] for prompt in prompts])]
    found.append(slots.decode(torch.tensor([prompt[-1] for prompt in prompts], device=model.loaded.device)))
    own = torch.stack([_own_logits(model.loaded, prompt) for prompt in prompts], dim=1)
    spread = (own - own.mean(dim=-1, keepdim=True)).norm(dim=-1)
    return float(((torch.stack(found) - own).norm(dim=-1) / spread).max())


def _own_logits(loaded: LoadedModel, ids: TokenIds) -> torch.Tensor:
    """(2, vocabulary) float32 logits after all but the last of `ids`, and after the last."""
    tokens = torch.tensor([ids], device=loaded.device)
    positions = torch.arange(len(ids), device=loaded.device)[None]
    row = torch.zeros(1, dtype=torch.long, device=loaded.device)
    first, cache = run_at(
        loaded, tokens[:, :-1], row, row + len(ids) - 2, position_ids=positions[:, :-1], use_cache=True
    )
    options = {"position_ids": positions[:, -1:], "use_cache": True, loaded.cache_name: cache}
    last, _ = run_at(loaded, tokens[:, -1:], row, row, **options)
    return torch.cat([first, last]).float()
