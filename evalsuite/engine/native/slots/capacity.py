"""The number of slots: as many as fit into the memory that is meant for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.engine.native.sizes import Sizes
from evalsuite.engine.native.slots.cache import ROOM_STEP, Prefix
from evalsuite.engine.native.slots.forward import SlotModel
from evalsuite.engine.native.slots.reserved import GROWING, reserved_for
from evalsuite.engine.planning.prefixes import SlotPrompt

STORED_BEYOND = 68
"""Most tokens that a step may store after the last one of a text: draft tokens, and steps before a stop."""


@dataclass(frozen=True, slots=True)
class SlotCapacity:
    """How much fits into memory at a time."""

    slots: int
    """Number of rows."""
    tokens: int
    """Positions of one forward pass over prompts; a single prompt may be longer."""

    def halved(self) -> "SlotCapacity":
        """Half the slots and half the positions."""
        return SlotCapacity(max(1, self.slots // 2), max(1, self.tokens // 2))


def capacity_for(model: SlotModel, prompts: Sequence[SlotPrompt], sizes: Sizes, window: int) -> SlotCapacity:
    """As many slots for the longest prompt with its longest answer as `sizes` has memory for.

    Where slots and prefixes get their memory at once (`reserved`), there are no more slots than requests.

    Args:
        model: the model.
        prompts: the prompts with their requests.
        sizes: how much runs at a time.
        window: the model's context window in tokens.
    """
    longest = max(len(prompt.own) + prompt.longest_answer for prompt in prompts)
    reserved = reserved_for(model.loaded.device, prompts, window, STORED_BEYOND)
    if reserved == GROWING:
        return SlotCapacity(sizes.slots(slot_bytes(model, longest)), sizes.prefill_positions)
    of_slot = slot_bytes(model, -(-reserved.own_tokens // ROOM_STEP) * ROOM_STEP)
    of_prefixes = slot_bytes(model, reserved.prefix_tokens) - slot_bytes(model, 0)
    requests = sum(len(prompt.requests) for prompt in prompts)
    return SlotCapacity(min(requests, sizes.slots(of_slot, of_prefixes)), sizes.prefill_positions)


def slot_bytes(model: SlotModel, tokens: int) -> int:
    """Bytes of one slot with `tokens` own tokens: keys, values and recurrent states."""
    layers = Prefix.of(model.like, 1).layers
    of_a_token = sum(
        part.nbytes for layer in layers for part in (layer.keys, layer.values) if part is not None
    )
    return tokens * of_a_token + sum(state.nbytes for layer in layers for state in layer.states)
