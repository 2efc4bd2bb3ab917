"""The processes that hold a model: a single process, or several (`engine.tensor_parallel`)."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.placement import resolve_device

if TYPE_CHECKING:
    from evalsuite.engine.native.loading.load import LoadedModel


class Processes(Protocol):
    """Everything that depends on how many processes hold the model."""

    @property
    def size(self) -> int:
        """Number of processes."""
        ...

    @property
    def device(self) -> str:
        """This process's device, for example "cpu" or "cuda:1"; raises UserError if it cannot have one."""
        ...

    @property
    def numerics(self) -> tuple[str, ...]:
        """Words that the processes add to the class of numerics."""
        ...

    @property
    def retries(self) -> bool:
        """Whether a process that runs out of memory may retry by itself with smaller batches."""
        ...

    def refuse_unless_divisible(self, files: ModelFiles, trust_remote_code: bool) -> None:
        """Raise ModelError if the processes cannot share the model."""
        ...

    def load(self, load: Callable[[], "LoadedModel"]) -> "LoadedModel":
        """Call `load` in this process and return its model; raises ModelError if it fails in any process."""
        ...

    def smallest(self, value: int) -> int:
        """The smallest of all processes' values, so that they plan alike."""
        ...


class OneProcess:
    """A single process that holds the whole model.

    Args:
        device: a device name as in `TransformersEngine`.
    """

    size = 1
    numerics: tuple[str, ...] = ()
    retries = True

    def __init__(self, device: str) -> None:
        self._device = device

    @functools.cached_property
    def device(self) -> str:
        """The device in use."""
        return resolve_device(self._device)

    def refuse_unless_divisible(self, files: ModelFiles, trust_remote_code: bool) -> None:
        """Does nothing: the model is not divided."""

    def load(self, load: Callable[[], "LoadedModel"]) -> "LoadedModel":
        """Call `load` and return its model."""
        return load()

    def smallest(self, value: int) -> int:
        """The value itself."""
        return value
