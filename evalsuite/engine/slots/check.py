"""Whether a model's passes over slots give what its own passes give, found out before they are used."""

import torch

from evalsuite.engine.attention_probe import why_its_attention_is_unknown
from evalsuite.engine.forward import run_at
from evalsuite.engine.loading import LoadedModel
from evalsuite.engine.memory import is_out_of_memory
from evalsuite.engine.packable import why_rows_depend_on_each_other
from evalsuite.engine.slots.differences import allowed_difference, difference_of
from evalsuite.engine.slots.forward import SlotModel, Slots
from evalsuite.types import TokenIds

PREFIX, OWN = 8, (7, 4)
"""Lengths, in tokens, of the prefix and of what follows it in the two rows that are compared."""


def fit_for_slots(loaded: LoadedModel) -> tuple[SlotModel | None, str]:
    """The model with what slots must know of it; or None, and why they do not fit it.

    Compared are the logits after two prompts of unequal length behind one prefix, after one more token each,
    and for a model that can take tokens back after two more, which are checked as guesses are, with those of
    transformers' own cache and of a pass per prompt.
    """
    config = loaded.model.config
    if reason := why_rows_depend_on_each_other(config.to_dict()) or why_its_attention_is_unknown(loaded):
        return None, reason
    try:
        model = SlotModel.of(loaded)
        difference = largest_difference(model)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        message = str(error).strip().split("\n")[0] or type(error).__name__
        return None, f"slots do not fit {type(loaded.model).__name__} ({message})"
    if difference <= allowed_difference(loaded.model.dtype):
        return model, ""
    return None, f"with slots its logits are off by {difference:.2g} of their spread"


GUESSED = 2
"""Tokens that are checked in one pass."""


@torch.inference_mode()
def largest_difference(model: SlotModel) -> float:
    """Between logits over slots and the model's own, relative to the spread (norm about the mean) of these."""
    vocabulary = model.loaded.model.get_input_embeddings().num_embeddings
    checked = GUESSED if model.forgets else 0
    prompts = [
        tuple((37 * at + 11 * row * (at >= PREFIX)) % vocabulary for at in range(PREFIX + own + 1 + checked))
        for row, own in enumerate(OWN)
    ]
    slots, device = Slots(model, len(prompts)), model.loaded.device
    ends = [PREFIX + own for own in OWN]
    found = slots.prefill(
        model.prefix(prompts[0][:PREFIX]),
        [prompt[PREFIX:end] for prompt, end in zip(prompts, ends, strict=True)],
    )[:, None]
    next_ones = [prompt[end:] for prompt, end in zip(prompts, ends, strict=True)]
    tokens = torch.tensor(next_ones, device=device)
    found = torch.cat([found, slots.decode(tokens[:, 0])[:, None]], dim=1)
    if checked:
        found = torch.cat([found, slots.check(tokens[:, 1:])], dim=1)
    own = torch.stack(
        [_own_logits(model.loaded, prompt, end) for prompt, end in zip(prompts, ends, strict=True)]
    )
    return difference_of(found, own)


def _own_logits(loaded: LoadedModel, ids: TokenIds, end: int) -> torch.Tensor:
    """float32 logits after the first `end` of `ids`, and after each token that follows, (tokens, vocabulary)."""
    tokens = torch.tensor([ids], device=loaded.device)
    positions = torch.arange(len(ids), device=loaded.device)[None]
    row = torch.zeros(1, dtype=torch.long, device=loaded.device)
    logits, cache = run_at(
        loaded, tokens[:, :end], row, row + end - 1, position_ids=positions[:, :end], use_cache=True
    )
    found = [logits]
    for at in range(end, len(ids)):
        options = {"position_ids": positions[:, at : at + 1], "use_cache": True, loaded.cache_name: cache}
        logits, cache = run_at(loaded, tokens[:, at : at + 1], row, row, **options)
        found.append(logits)
    return torch.cat(found).float()
