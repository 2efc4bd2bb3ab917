"""The record that names what is special about an architecture family."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def _leave_as_is(model: Any) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class ModelSupport:
    """One architecture family; `GENERIC` serves every family that needs no record of its own."""

    model_type: str
    """As in the model's configuration."""
    patch: Callable[[Any], tuple[str, ...]] = _leave_as_is
    """Corrects a model right after it is loaded; returns notes for the run log."""
    kernels: str = ""
    """Package without which the family runs a reference path, too slow to be meant on a GPU."""


GENERIC = ModelSupport("")
