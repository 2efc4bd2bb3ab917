"""The rank of this process among those that torchrun started to share one model."""

from collections.abc import Mapping
from dataclasses import dataclass

from evalsuite.errors import UserError


@dataclass(frozen=True, slots=True)
class Ranks:
    """Processes that each hold a part of every layer. Rank 0 drives; the other ranks mirror it."""

    rank: int = 0
    """From 0, the process that drives."""
    size: int = 1
    """Number of processes."""
    local_rank: int = 0
    """The rank among the processes of this machine, which is the index of its GPU."""

    @classmethod
    def of_torchrun(cls, environment: Mapping[str, str]) -> "Ranks":
        """The ranks from torchrun's variables (torch 2.13, `torch.distributed.run`); else a single process.

        Raises:
            UserError: a variable is missing or not a number.
        """
        if environment.get("WORLD_SIZE", "1") == "1":
            return ALONE
        try:
            rank, size, local_rank = (int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        except (KeyError, ValueError) as error:
            raise UserError(
                f"WORLD_SIZE is {environment['WORLD_SIZE']}, as torchrun sets it, but {error} is missing or "
                "wrong; start evalsuite with `torchrun --nproc-per-node N -m evalsuite run ...`, or without "
                "WORLD_SIZE."
            ) from error
        return cls(rank, size, local_rank)


ALONE = Ranks()
