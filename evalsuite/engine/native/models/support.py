"""The record of special support for an architecture family."""

import importlib
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
    kernels: str = ""
    """The package without which the family runs a reference path, which is too slow for use on a GPU."""

    def missing_kernels(self, device: str) -> str:
        """Why a GPU would run the reference path, in a few words; empty if it would not.

        transformers silently falls back to that path if the package cannot be imported, for whatever reason
        (5.23: `use_kernel_func_from_hub_with_fallback`), so this method tries the import.
        """
        if not self.kernels or not device.startswith("cuda"):
            return ""
        try:
            importlib.import_module(self.kernels)
        except Exception as error:
            return str(error) or type(error).__name__
        return ""


GENERIC = ModelSupport("")
"""The record of every family without special support."""
