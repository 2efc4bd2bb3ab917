"""Which engine answers, by the name that a run specification gives."""

from typing import Protocol

from evalsuite.engine.protocol import Engine
from evalsuite.engine.transformers_engine import TransformersEngine
from evalsuite.errors import UnknownName
from evalsuite.models import ModelFiles

ENGINES = {"native": TransformersEngine}


class EngineOptions(Protocol):
    """What of a run specification concerns the engine."""

    @property
    def dtype(self) -> str:
        """Data type, or "auto"."""
        ...

    @property
    def device(self) -> str:
        """Device, or "auto"."""
        ...

    @property
    def trust_remote_code(self) -> bool:
        """Whether code in the model's folder may run."""
        ...


def make_engine(name: str, files: ModelFiles, options: EngineOptions, verify_weights: bool = False) -> Engine:
    """The engine of this name; nothing is loaded yet.

    Raises:
        UnknownName: there is no such engine.
    """
    if name not in ENGINES:
        raise UnknownName("engine", name, ENGINES)
    return ENGINES[name](
        files,
        dtype=options.dtype,
        device=options.device,
        trust_remote_code=options.trust_remote_code,
        verify_weights=verify_weights,
    )
