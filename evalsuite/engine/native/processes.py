"""The processes that hold a model: what one of them does by itself, and several do together
(`engine.tensor_parallel`)."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.placement import resolve_device

if TYPE_CHECKING:
    from evalsuite.engine.native.loading.load import LoadedModel


class Processes(Protocol):
    """What depends on how many processes hold the model."""

    @property
    def size(self) -> int:
        """How many they are."""
        ...

    @property
    def device(self) -> str:
        """This process's device, for example "cpu" or "cuda:1"; raises UserError where it cannot have one."""
        ...

    @property
    def numerics(self) -> tuple[str, ...]:
        """What they add to the class of numerics."""
        ...

    @property
    def retries(self) -> bool:
        """Whether a process that ran out of memory may try again in smaller pieces by itself."""
        ...

    def refuse_unless_divisible(self, files: ModelFiles, trust_remote_code: bool) -> None:
        """Raises ModelError where the processes cannot share the model."""
        ...

    def load(self, load: Callable[[], "LoadedModel"]) -> "LoadedModel":
        """What `load` gives in this process; raises ModelError where it fails in any of them."""
        ...

    def smallest(self, value: int) -> int:
        """The smallest of all processes' values, so that they plan alike."""
        ...


class OneProcess:
    """One process holds the whole model and has nobody to agree with.

    Args:
        device: as `TransformersEngine` takes it.
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
        """Nothing is divided."""

    def load(self, load: Callable[[], "LoadedModel"]) -> "LoadedModel":
        """What `load` gives."""
        return load()

    def smallest(self, value: int) -> int:
        """The value."""
        return value
