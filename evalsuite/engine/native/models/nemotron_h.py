"""Nemotron-H: Mamba-2, attention and MLP layers, with a correction of transformers' own code."""

from typing import Any

from evalsuite.engine.native.models.support import ModelSupport

MAMBA_MIXER = "NemotronHMamba2Mixer"


def restore_time_step_limit(model: Any) -> tuple[str, ...]:
    """Clamp the Mamba time step as the configuration says; returns a note per replaced limit.

    transformers 5.17 to 5.23 clamps the time step to (`time_step_min`, inf) in prefill and not at all in
    decode, and ignores `time_step_limit`, so that one text has two log-likelihoods. The original kernels, and
    the other engines, use `time_step_limit`, which is (0, inf) for every published Nemotron-H. Source:
    transformers 5.23 `modeling_nemotron_h.py`, `NemotronHMamba2Mixer.__init__`.
    """
    configured = tuple(float(limit) for limit in model.config.time_step_limit)
    mixers = [module for module in model.modules() if type(module).__name__ == MAMBA_MIXER]
    replaced = {tuple(mixer.time_step_limit) for mixer in mixers} - {configured}
    for mixer in mixers:
        mixer.time_step_limit = configured
    return tuple(
        f"nemotron_h: Mamba time step limit set to {configured} as in the configuration "
        f"(transformers: {limit})"
        for limit in sorted(replaced)
    )


NEMOTRON_H = ModelSupport("nemotron_h", patch=restore_time_step_limit)
