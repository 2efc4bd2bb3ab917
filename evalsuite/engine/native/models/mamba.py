"""State-space families that need only their kernels."""

from evalsuite.engine.native.models.support import ModelSupport

MAMBA_FAMILIES = tuple(
    ModelSupport(model_type, kernels="mamba_ssm")
    for model_type in ("mamba", "mamba2", "falcon_mamba", "bamba", "zamba2", "granitemoehybrid", "falcon_h1")
)
