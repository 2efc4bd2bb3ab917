"""Memory that slots reserve at once, so that keys keep their addresses and captured steps stay valid."""

from collections.abc import Iterable
from dataclasses import dataclass

from evalsuite.engine.native.slots.prefix_pool import PREFIXES, place_of
from evalsuite.engine.planning.prefixes import SlotPrompt

RESERVING = ("cuda",)
"""Kinds of devices that reserve memory. A CPU computes no captured steps, and small slots fit its caches."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """Tokens for which slots and prefixes get memory when the slots are created."""

    own_tokens: int = 0
    """Own tokens of every slot; with more tokens, all slots grow."""
    prefix_tokens: int = 0
    """Tokens of the prefixes of active rows, for captured steps; 0 if unknown."""


GROWING = Reserved()
"""Memory grows as tokens come."""


def reserved_for(device: str, prompts: Iterable[SlotPrompt], window: int, beyond: int) -> Reserved:
    """Memory for the longest of the prompts with its longest answer, and for a few prefixes.

    Args:
        device: the device of the slots.
        prompts: the prompts.
        window: the model's context window in tokens.
        beyond: tokens that a step may store after the last one of a text.
    """
    prompts = list(prompts)
    if device.partition(":")[0] not in RESERVING or not prompts:
        return GROWING
    own = max(min(len(prompt.own) + prompt.longest_answer, window - len(prompt.shared)) for prompt in prompts)
    lengths = [place_of(len(shared)) for shared in {prompt.shared for prompt in prompts}]
    return Reserved(own + beyond, min(sum(lengths), PREFIXES * max(lengths)))
