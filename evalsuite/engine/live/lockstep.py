"""Forward passes of processes that share a module's weights (FSDP): each does as many as the others."""

from typing import Any, Protocol


class Lockstep(Protocol):
    """What processes agree on; every process asks the same questions in the same order."""

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in any process."""
        ...

    def largest(self, value: float) -> float:
        """The largest of all processes' values."""
        ...


class NoLockstep:
    """A process that does its passes alone."""

    def any(self, flag: bool) -> bool:
        """The flag itself."""
        return flag

    def largest(self, value: float) -> float:
        """The value itself."""
        return value


class GroupLockstep:
    """Agreement by small reductions in a process group on the CPU.

    Args:
        group: a gloo group.
    """

    def __init__(self, group: Any) -> None:
        self._group = group

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in any process of the group."""
        return self.largest(float(flag)) > 0

    def largest(self, value: float) -> float:
        """The largest of all processes' values; NaN counts as infinite."""
        import torch
        from torch import distributed

        found = torch.tensor([value], dtype=torch.float64).nan_to_num(nan=torch.inf)
        distributed.all_reduce(found, op=distributed.ReduceOp.MAX, group=self._group)
        return float(found)
