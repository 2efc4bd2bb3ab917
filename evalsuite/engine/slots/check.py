"""Whether a model's passes over slots give what its own passes give, found out before they are used."""

import torch

from evalsuite.engine.attention_probe import why_its_attention_is_unknown
from evalsuite.engine.forward import plain_logits
from evalsuite.engine.limits import lengths_beyond
from evalsuite.engine.loading import LoadedModel
from evalsuite.engine.memory import is_out_of_memory
from evalsuite.engine.packable import why_rows_depend_on_each_other
from evalsuite.engine.plain_tokens import plain_tokens
from evalsuite.engine.slots.differences import allowed_difference, difference_of
from evalsuite.engine.slots.forward import SlotModel, Slots
from evalsuite.engine.stand_in import why_it_stopped

PREFIX, OWN = 8, (7, 4)
"""Lengths, in tokens, of the prefix and of what follows it in the two rows that are compared."""


def fit_for_slots(loaded: LoadedModel) -> tuple[SlotModel | None, str]:
    """The model with what slots must know of it; or None, and why they do not fit it.

    Compared are the logits after two prompts of unequal length behind one prefix, after one more token each,
    and for a model that can take tokens back after two more, which are checked as guesses are, with those of
    passes over each prompt alone without a cache.
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
        return None, why_it_stopped(error)
    if difference <= allowed_difference(loaded.model.dtype):
        return model, ""
    return None, f"with slots its logits are off by {difference:.2g} of their spread"


GUESSED = 2
"""Tokens that are checked in one pass."""


def largest_difference(model: SlotModel) -> float:
    """Between logits over slots and the model's own, relative to the spread (norm about the mean) of these.

    Tried once with few tokens, and once beyond each limit of the configuration that is short enough.
    """
    config = model.loaded.model.config.get_text_config().to_dict()
    sizes = [(PREFIX, OWN), *((length // 2, (length - length // 2, 4)) for length in lengths_beyond(config))]
    return max(_difference(model, prefix, own) for prefix, own in sizes)


@torch.inference_mode()
def _difference(model: SlotModel, prefix: int, own_lengths: tuple[int, ...]) -> float:
    """With a shared prefix of so many tokens, and so many behind it in each row."""
    config, checked = model.loaded.model.config, GUESSED if model.forgets else 0
    shared = plain_tokens(config, prefix)
    prompts = [
        shared + plain_tokens(config, own + 1 + checked, start=7 + 11 * row)
        for row, own in enumerate(own_lengths)
    ]
    slots, device = Slots(model, len(prompts)), model.loaded.device
    ends = [prefix + own for own in own_lengths]
    found = slots.prefill(
        model.prefix(shared), [prompt[prefix:end] for prompt, end in zip(prompts, ends, strict=True)]
    )[:, None]
    tokens = torch.tensor([prompt[end:] for prompt, end in zip(prompts, ends, strict=True)], device=device)
    found = torch.cat([found, slots.decode(tokens[:, 0])[:, None]], dim=1)
    if checked:
        found = torch.cat([found, slots.check(tokens[:, 1:])], dim=1)
    own = torch.stack([plain_logits(model.loaded, ids, 2 + checked, positions=True) for ids in prompts])
    return difference_of(found.float(), own)
