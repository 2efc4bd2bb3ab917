"""Checks, before slots are used, that a model's passes over slots match its plain forward passes."""

import torch

from evalsuite.engine.native.differences import allowed_difference, difference_of
from evalsuite.engine.native.fit_trees import ROWS_DEPEND
from evalsuite.engine.native.forward import plain_logits
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.memory import is_out_of_memory
from evalsuite.engine.native.probe.attention_options import NO_INTERFACE, UnknownOptionError, uses_interface
from evalsuite.engine.native.probe.attention_probe import why_its_attention_is_unknown
from evalsuite.engine.native.probe.limits import SHORTER, lengths_beyond
from evalsuite.engine.native.probe.plain_tokens import plain_tokens
from evalsuite.engine.native.probe.scaled_up import scaled_difference
from evalsuite.engine.native.slots.forward import SlotModel, Slots
from evalsuite.engine.native.stand_in import why_it_stopped
from evalsuite.errors import ModelError
from evalsuite.types import TokenIds

PREFIX, OWN = 8, (7, 4)
"""Tokens of the trial's prefix, and of the rest of the prompt in its two rows."""
LONG_PREFIX, LONG_OWN = 70, (135, 66)
"""The same where a kernel scans prompts in blocks of `trees.walk.CHUNK` tokens: two and three of them."""


def fit_for_slots(loaded: LoadedModel) -> tuple[SlotModel | None, str]:
    """The model with the properties that slots need; or None, and why slots cannot be used.

    The trial compares logits with plain passes over each prompt alone without a cache: after two prompts of
    unequal length with a common prefix, after one more token each, and after two more: a model that can drop
    tokens again verifies these in one pass, as it does with draft tokens; any other model takes a step for
    each, which reads the states that the step before wrote.
    """
    if reason := ROWS_DEPEND if loaded.lengths else why_its_attention_is_unknown(loaded):
        return None, reason
    try:
        model = SlotModel.of(loaded)
        difference = largest_difference(model)
        scaled = _scaled_difference(model)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        known = isinstance(error, UnknownOptionError | ModelError) or uses_interface(loaded.model)
        return None, why_it_stopped(error) if known else f"{NO_INTERFACE} ({why_it_stopped(error)})"
    allowed = allowed_difference(loaded.model.dtype)
    if difference > allowed:
        return None, f"with slots its logits are off by {difference:.2g} of their spread"
    if scaled > allowed:
        return (
            None,
            f"with slots and activations scaled up its logits are off by {scaled:.2g} of their spread",
        )
    return model, ""


MORE = 2
"""Tokens after the first decode step."""


def largest_difference(model: SlotModel) -> float:
    """Largest difference of logits over slots from plain ones, relative to the latter's spread.

    The spread is the norm about the mean. Tried with few tokens, beyond each short limit of the
    configuration, and over several blocks of a kernel that scans prompts.
    """
    config = model.loaded.model.config.get_text_config().to_dict()
    sizes: list[tuple[int, tuple[int, ...]]] = [(PREFIX, OWN)]
    if model.prompt_functions:
        sizes.append((LONG_PREFIX, LONG_OWN))
    for length in lengths_beyond(config):
        prefix = length // 2
        sizes.append((prefix, (length - prefix, length - prefix - SHORTER, 4)))
    return max(_difference(model, prefix, own) for prefix, own in sizes)


def _scaled_difference(model: SlotModel) -> float:
    """The difference with few tokens and scaled-up activations."""
    allowed = allowed_difference(model.loaded.model.dtype)
    return scaled_difference(
        model.loaded, lambda: _difference(model, PREFIX, OWN), _prompts(model, PREFIX, OWN), allowed
    )


def _prompts(model: SlotModel, prefix: int, own_lengths: tuple[int, ...]) -> list[TokenIds]:
    """The trial's prompts, each followed by the tokens that are fed to its slot in decode steps."""
    config, more = model.loaded.model.config, 1 + MORE
    shared = plain_tokens(config, prefix)
    return [
        shared + plain_tokens(config, own + more, start=7 + 11 * row) for row, own in enumerate(own_lengths)
    ]


@torch.inference_mode()
def _difference(model: SlotModel, prefix: int, own_lengths: tuple[int, ...]) -> float:
    """Largest difference with a shared prefix of `prefix` tokens, and `own_lengths` more tokens by row."""
    prompts = _prompts(model, prefix, own_lengths)
    slots, device = Slots(model, len(prompts)), model.loaded.device
    ends = [prefix + own for own in own_lengths]
    found = slots.prefill(
        model.prefix(prompts[0][:prefix]),
        [prompt[prefix:end] for prompt, end in zip(prompts, ends, strict=True)],
    )[:, None]  # (rows, 1, vocabulary), and one more position per fed token
    tokens = torch.tensor([prompt[end:] for prompt, end in zip(prompts, ends, strict=True)], device=device)
    found = torch.cat([found, slots.decode(tokens[:, 0])[:, None]], dim=1)
    if model.forgets:
        found = torch.cat([found, slots.check(tokens[:, 1:])], dim=1)
    else:
        steps = [slots.decode(tokens[:, 1 + step])[:, None] for step in range(MORE)]
        found = torch.cat([found, *steps], dim=1)
    own = torch.stack([plain_logits(model.loaded, ids, 2 + MORE, positions=True) for ids in prompts])
    return difference_of(found.float(), own)
