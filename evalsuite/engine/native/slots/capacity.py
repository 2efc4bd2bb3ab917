"""How many slots there are: as many as memory holds, at most the budget's rows."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from evalsuite.engine.native.slots.cache import Prefix
from evalsuite.engine.native.slots.forward import SlotModel
from evalsuite.engine.planning.batches import Budget
from evalsuite.engine.planning.prefixes import SlotPrompt

SHARE_FOR_SLOTS = 0.5
"""Of the free memory; the rest is for prefixes, growing room (old and new at once) and the passes."""


@dataclass(frozen=True, slots=True)
class SlotRoom:
    """How much fits in memory at a time."""

    slots: int
    """Rows."""
    tokens: int
    """Positions of one pass over prompts; a single prompt may be longer."""

    def halved(self) -> "SlotRoom":
        """Half of both."""
        return SlotRoom(max(1, self.slots // 2), max(1, self.tokens // 2))


def room_for(model: SlotModel, prompts: Sequence[SlotPrompt], budget: Budget, free: int) -> SlotRoom:
    """Slots that hold the longest prompt with its longest answer, within half of `free` bytes."""
    longest = max(len(prompt.own) + prompt.longest_answer for prompt in prompts)
    size = slot_bytes(model, longest)
    fitting = int(free * SHARE_FOR_SLOTS) // size if size else budget.rows
    return SlotRoom(max(1, min(budget.rows, fitting)), budget.tokens)


def slot_bytes(model: SlotModel, tokens: int) -> int:
    """Memory of one slot with so many own tokens: keys and values, and recurrent states."""
    layers = Prefix.of(model.like, 1).layers
    of_a_token = sum(part.nbytes for one in layers for part in (one.keys, one.values) if part is not None)
    return tokens * of_a_token + sum(state.nbytes for one in layers for state in one.states)


def free_bytes(device: str) -> int:
    """Memory that is free on the device; on the machine, for devices that share its memory."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    return min(_free_on_machine(), _free_in_group())


def _free_on_machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _free_in_group(folder: Path = Path("/sys/fs/cgroup")) -> int:
    """What a container's limit leaves (cgroup v2); no bound where there is none."""
    try:
        limit = (folder / "memory.max").read_text("ascii").strip()
        used = int((folder / "memory.current").read_text("ascii"))
        return max(0, int(limit) - used)
    except (OSError, ValueError):
        return 2**62
