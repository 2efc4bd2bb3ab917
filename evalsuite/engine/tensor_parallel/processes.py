"""Tensor-parallel processes: their devices, loading, and messages."""

from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.placement import resolve_device
from evalsuite.engine.tensor_parallel.divide import refuse_unless_divisible
from evalsuite.engine.tensor_parallel.ranks import Ranks
from evalsuite.errors import ModelError, UserError

if TYPE_CHECKING:
    from evalsuite.engine.native.loading.load import LoadedModel

PATIENCE = timedelta(days=30)
"""How long processes wait for rank 0, which may be running programs of code tasks for hours."""


class TeamProcesses:
    """Several processes as the native engine needs them (`native.processes.Processes`).

    Collective methods wait for all processes: each process must call them, in the same order.

    Args:
        team: the rank of this process, and their number.
        device: a device name as in `TransformersEngine`.
    """

    retries = False
    """False: if one process runs out of memory, the others wait for it in the same forward pass."""

    def __init__(self, team: Ranks, device: str) -> None:
        self.team = team
        self.size = team.size
        self.numerics: tuple[str, ...] = (f"tp{team.size}",)
        self._device = device

    @cached_property
    def device(self) -> str:
        """This process's own device; raises UserError if it cannot have one."""
        kind = resolve_device(self._device).partition(":")[0]
        if self._device.partition(":")[2]:
            raise UserError(f"--device {self._device} names one GPU; under torchrun use cuda or auto.")
        if kind == "mps":
            raise UserError("Tensor parallelism needs CUDA GPUs or CPUs; start evalsuite without torchrun.")
        if kind == "cpu":
            import torch

            if torch.cuda.is_available():
                raise UserError(
                    "torchrun with --device cpu needs CUDA_VISIBLE_DEVICES= (empty): this machine has GPUs."
                )
            return kind
        return resolve_device(f"{kind}:{self.team.local_rank}")

    def refuse_unless_divisible(self, files: ModelFiles, trust_remote_code: bool) -> None:
        """Raise ModelError if the processes cannot share the model."""
        refuse_unless_divisible(files, self.size, trust_remote_code)

    def load(self, load: "Callable[[], LoadedModel]") -> "LoadedModel":
        """Load this process's part of the model. Collective.

        Raises:
            ModelError: in every process, if any of them cannot load.
        """
        problem, loaded = "", None
        try:
            loaded = load()
        except ModelError as error:
            problem = str(error)
        problems: list[str] = self._gathered(problem)
        if any(problems) or loaded is None:
            raise ModelError(next(filter(None, problems)))
        return loaded

    def smallest(self, value: int) -> int:
        """The smallest of all processes' values. Collective."""
        values: list[int] = self._gathered(value)
        return min(values)

    def send(self, *message: Any) -> tuple[Any, ...]:
        """Broadcast rank 0's message and return it; other ranks' arguments are ignored. Collective."""
        from torch import distributed

        content = [message]
        distributed.broadcast_object_list(content, src=0, group=self._objects)
        return content[0]

    def leave(self) -> None:
        """End the process group; no message can be sent afterwards."""
        from torch import distributed

        distributed.destroy_process_group()

    def _gathered(self, value: Any) -> list[Any]:
        from torch import distributed

        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value, group=self._objects)
        return values

    @cached_property
    def _objects(self) -> Any:
        """The process group for Python objects; the first use waits for all processes."""
        import torch
        from torch import distributed

        if not distributed.is_initialized():
            options: dict[str, Any] = {"backend": "gloo"}
            if self.device.startswith("cuda"):
                torch.cuda.set_device(self.device)
                options = {"backend": "nccl", "device_id": torch.device(self.device)}
            distributed.init_process_group(**options, timeout=PATIENCE)
        return distributed.new_group(backend="gloo", timeout=PATIENCE)
