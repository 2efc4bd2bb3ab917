"""The record of special support for an architecture family."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def _leave_as_is(model: Any) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class ModelSupport:
    """Support for one architecture family; `GENERIC` serves every family without a record of its own."""

    model_type: str
    """The family's `model_type` in configurations."""
    patch: Callable[[Any], tuple[str, ...]] = _leave_as_is
    """Corrects a model right after it is loaded; returns notes for the run log."""


GENERIC = ModelSupport("")
"""The record of every family without special support."""
