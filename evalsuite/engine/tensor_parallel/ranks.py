"""Which of several processes this one is, where torchrun started them to hold one model together."""

from collections.abc import Mapping
from dataclasses import dataclass

from evalsuite.errors import UserError


@dataclass(frozen=True, slots=True)
class Ranks:
    """Processes that each hold a part of every layer. Rank 0 drives; the other ranks mirror it."""

    rank: int = 0
    """From 0, which leads."""
    size: int = 1
    local_rank: int = 0
    """Among those of one machine: which GPU it takes."""

    @classmethod
    def of_torchrun(cls, environment: Mapping[str, str]) -> "Ranks":
        """From the variables that torchrun sets (torch 2.13, `torch.distributed.run`); alone without them.

        Raises:
            UserError: some of them are missing or no numbers.
        """
        if environment.get("WORLD_SIZE", "1") == "1":
            return ALONE
        try:
            rank, size, local_rank = (int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        except (KeyError, ValueError) as error:
            raise UserError(
                f"WORLD_SIZE is {environment['WORLD_SIZE']}, as torchrun sets it, but {error} is not right; start "
                "evalsuite by `torchrun --nproc-per-node N -m evalsuite run ...`, or without WORLD_SIZE."
            ) from error
        return cls(rank, size, local_rank)


ALONE = Ranks()
