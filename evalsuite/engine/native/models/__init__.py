"""Special support for single architectures; a model that is not listed needs none."""

from evalsuite.engine.native.models.nemotron_h import NEMOTRON_H
from evalsuite.engine.native.models.support import GENERIC, ModelSupport

__all__ = ["GENERIC", "ModelSupport", "support_for"]

_SUPPORT = {support.model_type: support for support in (NEMOTRON_H,)}


def support_for(model_type: str) -> ModelSupport:
    """The support record of an architecture family, by its configuration's `model_type`."""
    return _SUPPORT.get(model_type, GENERIC)
