"""How many slots there are: as many as memory holds, at most the budget's rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.engine.native.slots.cache import Prefix
from evalsuite.engine.native.slots.forward import SlotModel
from evalsuite.engine.placement import Budget
from evalsuite.engine.planning.prefixes import SlotPrompt

SHARE_FOR_SLOTS = 0.5
"""Of the free memory; the rest is for prefixes, growing room (old and new at once) and the passes."""


@dataclass(frozen=True, slots=True)
class SlotCapacity:
    """How much fits in memory at a time."""

    slots: int
    """Rows."""
    tokens: int
    """Positions of one pass over prompts; a single prompt may be longer."""

    def halved(self) -> "SlotCapacity":
        """Half of both."""
        return SlotCapacity(max(1, self.slots // 2), max(1, self.tokens // 2))


def capacity_for(model: SlotModel, prompts: Sequence[SlotPrompt], budget: Budget, free: int) -> SlotCapacity:
    """Slots that hold the longest prompt with its longest answer, within half of `free` bytes."""
    longest = max(len(prompt.own) + prompt.longest_answer for prompt in prompts)
    size = slot_bytes(model, longest)
    fitting = int(free * SHARE_FOR_SLOTS) // size if size else budget.rows
    return SlotCapacity(max(1, min(budget.rows, fitting)), budget.tokens)


def slot_bytes(model: SlotModel, tokens: int) -> int:
    """Memory of one slot with so many own tokens: keys and values, and recurrent states."""
    layers = Prefix.of(model.like, 1).layers
    of_a_token = sum(part.nbytes for one in layers for part in (one.keys, one.values) if part is not None)
    return tokens * of_a_token + sum(state.nbytes for one in layers for state in one.states)
