"""The record that names what is special about an architecture family."""

import importlib
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

    def missing_kernels(self, device: str) -> str:
        """Why a GPU would run the reference path, in a few words; empty if it would not.

        transformers takes that path without a word if the package cannot be imported, for whatever
        reason (5.23: `use_kernel_func_from_hub_with_fallback`), so it is imported here to find out.
        """
        if not self.kernels or not device.startswith("cuda"):
            return ""
        try:
            importlib.import_module(self.kernels)
        except Exception as error:
            return str(error) or type(error).__name__
        return ""


GENERIC = ModelSupport("")
"""Of every family without a record of its own."""
