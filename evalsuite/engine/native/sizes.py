"""How much of a model's work runs at a time: decided once, before any weight is on the device.

The decision rests on the device's memory before loading and on estimates from the model's configuration
(`memory_estimate`, `slot_estimate`), so that it is the same whether or not loading has begun.
"""

from collections.abc import Callable
from dataclasses import dataclass

from evalsuite.engine.native.memory_estimate import LOGIT_BYTES, POSITIONS_PER_CHUNK, Needs
from evalsuite.engine.native.slot_estimate import SlotNeeds
from evalsuite.engine.placement import Budget

MOST_TOKENS = 2**14
"""Tokens of a packed forward pass where memory is ample; larger packs save little (docs/performance.md)."""
FEWEST_TOKENS = 2**9
SHARE = 0.5
"""Share of the memory left by the weights for a forward pass, where other programs need memory as well.

The same share is for slots.
"""

MOST_SLOTS = 512
"""Most slots on a GPU.

A decode step reads the weights once, and each row's states and keys. From Nemotron-H-8B's bytes (16 GB of
weights, 0.2 GB for reading and writing a row's states), weights are 38 % of a step's traffic with 128 rows,
24 % with 256 and 14 % with 512. More rows would save at most that last share, and every set of texts ends
with ever fewer rows in its steps.
"""
MOST_POSITIONS = 1024
"""Positions whose logits are computed at a time on a GPU where memory is ample."""

RESERVED = 0.08
"""Share of a GPU's total memory for its context, cuBLAS, captured graphs and the allocator's gaps."""
PASS_SHARE = 0.7
"""Share of what the weights and `RESERVED` leave on a GPU for the forward pass of a pack and its logits."""
SLOT_SHARE = 0.55
"""The same for all slots during generation; the rest is for passes over prompts, prefixes and logits."""
PREFILL_SHARE = 0.35
"""The same for a pass over prompts. Mamba-2 layers pad each prompt to whole chunks, which may double it."""


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Bytes of memory before the model is loaded; sums over the devices that share the model's layers."""

    total: int
    free: int
    devices: int = 1

    @classmethod
    def measured(cls, device: str, *, spread: bool = False) -> "DeviceMemory":
        """Measure a device; with `spread`, all GPUs. Other devices share the machine's memory."""
        from evalsuite.engine.native.memory import free_bytes

        if not device.startswith("cuda"):
            free = free_bytes(device)
            return cls(free, free)
        import torch

        devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if spread else [device]
        found = [torch.cuda.mem_get_info(name) for name in devices]
        return cls(sum(total for _, total in found), sum(free for free, _ in found), len(devices))

    def agreed(self, smallest: Callable[[int], int]) -> "DeviceMemory":
        """The smallest of all processes' values, so that they plan alike."""
        return DeviceMemory(smallest(self.total), smallest(self.free), self.devices)

    @property
    def usable(self) -> int:
        """Bytes that the model may use on a GPU."""
        return min(self.free, int((1 - RESERVED) * self.total))


FEWEST_PREFILL = 64
"""Fewest positions of a pass over prompts: a prompt's own scan may take MiB each (transformers 5.17)."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much runs at a time."""

    pack_tokens: int
    """Tokens of a packed forward pass; a power of two, so that plans do not change with every free byte."""
    positions_per_chunk: int
    """Positions of a pack whose logits are computed at a time."""
    prefill_positions: int
    """Positions of a forward pass over prompts of texts."""
    most_slots: int
    """Rows of generation, however small they are."""
    slot_memory: int
    """Bytes for all slots."""
    batches: Budget
    """Limits of padded batches, for models that cannot use packs or slots."""
    problem: str = ""
    """Why the model does not fit into a GPU's memory, in a few words; empty if it does."""

    def slots(self, slot_bytes: int, beside: int = 0) -> int:
        """Number of slots of `slot_bytes` each, with `beside` bytes for prefixes; at least one."""
        left = max(0, self.slot_memory - beside)
        return max(1, min(self.most_slots, left // slot_bytes if slot_bytes else self.most_slots))


def sizes_beside_others(needs: Needs, memory: DeviceMemory, budget: Budget, copies: int = 0) -> Sizes:
    """Sizes on a device that shares the machine's memory with other programs: a CPU, MPS.

    Args:
        needs: the model's memory.
        memory: the machine's memory.
        budget: the limits of padded batches; its rows are the most slots.
        copies: bytes of copies of the weights in a faster layout.
    """
    left = SHARE * (memory.free - needs.weights)
    slots = max(0, int(SHARE * (memory.free - needs.weights - copies)))
    tokens = _halved(MOST_TOKENS, FEWEST_TOKENS, lambda size: needs.activations(size) <= left)
    return Sizes(tokens, POSITIONS_PER_CHUNK, budget.tokens, budget.rows, slots, budget)


def sizes_on_gpu(needs: Needs, slot: SlotNeeds, memory: DeviceMemory, budget: Budget) -> Sizes:
    """Sizes on a GPU, or on several GPUs that hold a layer each in turn.

    Args:
        needs: the model's memory; where processes divide the layers, a process's share of its weights.
        slot: the memory of a slot.
        memory: the GPU's memory before loading, or the sum over all GPUs.
        budget: the limits of padded batches where memory is ample.
    """
    left = max(0, memory.usable - needs.weights)
    of_pass, of_slots = left / memory.devices, int(SLOT_SHARE * left)  # a pass is on one device at a time

    def fits(share: float, tokens: int, positions: int) -> bool:
        return needs.on_gpu(tokens, positions) <= share * of_pass

    positions = _halved(MOST_POSITIONS, POSITIONS_PER_CHUNK, lambda size: fits(0.25, FEWEST_TOKENS, size))
    tokens = _halved(MOST_TOKENS, FEWEST_TOKENS, lambda size: fits(PASS_SHARE, size, positions))
    rows = max(1, min(MOST_SLOTS, of_slots // max(1, slot.of(1))))
    of_prefill = PREFILL_SHARE * of_pass
    prefill = _halved(MOST_TOKENS, FEWEST_PREFILL, lambda size: needs.prefill(size, rows) <= of_prefill)
    cached = of_slots // slot.a_token if slot.a_token else budget.cached_tokens
    batches = Budget(
        tokens=min(budget.tokens, tokens),
        logits=_halved(budget.logits, 2**24, lambda logits: LOGIT_BYTES * logits <= of_pass / 4),
        cached_tokens=max(1, min(budget.cached_tokens, cached)),
        rows=min(budget.rows, rows),
    )
    problem = "" if needs.on_gpu(FEWEST_TOKENS) <= of_pass else _too_large(needs, memory)
    return Sizes(tokens, positions, prefill, MOST_SLOTS, of_slots, batches, problem)


def _halved(most: int, fewest: int, fits: Callable[[int], bool]) -> int:
    """`most`, halved until it fits; at least `fewest`."""
    while most > fewest and not fits(most):
        most //= 2
    return most


def _too_large(needs: Needs, memory: DeviceMemory) -> str:
    of_devices = f" of {memory.devices} devices" if memory.devices > 1 else ""
    forward = _gib(needs.on_gpu(FEWEST_TOKENS))
    return (
        f"its weights need {_gib(needs.weights)} and a forward pass {forward}, "
        f"and {_gib(memory.usable)} of memory{of_devices} are usable"
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
