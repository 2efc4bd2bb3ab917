"""The processes of a training, as far as an evaluation needs them: messages and agreement, on the CPU."""

import functools
from datetime import timedelta
from typing import Any

PATIENCE = timedelta(days=30)
"""How long processes wait for rank 0, which may be reading data or running programs of code tasks."""


class TrainingRanks:
    """The processes that evaluate together. Methods are collective: every process calls them in one order.

    Args:
        group: a process group of the training; None for all processes.
    """

    def __init__(self, group: Any = None) -> None:
        self._given = group

    @functools.cached_property
    def size(self) -> int:
        """Number of processes."""
        from torch import distributed

        started = distributed.is_available() and distributed.is_initialized()
        return distributed.get_world_size(self._given) if started else 1

    @functools.cached_property
    def rank(self) -> int:
        """From 0; rank 0 reads data, judges and returns the log."""
        from torch import distributed

        return distributed.get_rank(self._given) if self.size > 1 else 0

    @functools.cached_property
    def group(self) -> Any:
        """A gloo group of these processes with patience.

        The first use waits for all of them, with the patience of the training's own group.
        """
        from torch import distributed

        distributed.barrier(self._given)
        members = None if self._given is None else distributed.get_process_group_ranks(self._given)
        return distributed.new_group(
            members, timeout=PATIENCE, backend="gloo", use_local_synchronization=True
        )

    def meet(self) -> None:
        """Wait for the other processes; those that come later find out here if one of them has ended."""
        if self.size > 1:
            self.gathered(None)

    def told_by_first(self, message: Any = None) -> Any:
        """Rank 0's message; those of other ranks are ignored."""
        from torch import distributed

        content = [message]
        distributed.broadcast_object_list(content, group_src=0, group=self.group, device=_cpu())
        return content[0]

    def gathered(self, value: Any) -> list[Any]:
        """Every process's value, by rank."""
        from torch import distributed

        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value, group=self.group)
        return values


def _cpu() -> Any:
    import torch

    return torch.device("cpu")
