"""Kernels of our own for a GPU, in Triton; whatever they do, a function of torch beside them does as well.

- `tables`: a packed tree as the kernels read it.
- `conv`, `scan`: the two places where a Mamba-2 layer mixes tokens (`trees.mamba`).
- `log_sums`: what log-probabilities of single tokens need of their rows of logits (`score.read_targets`).

Triton is imported with the modules that hold kernels, which nothing imports where `unsupported_reason` has an
answer. No kernel is tuned by timing: equal inputs give equal numbers in every process.
"""

import functools
import importlib.util

from evalsuite.engine.native.stand_in import why_it_stopped

NUMERICS = "triton"
"""Names these kernels among what scores depend on."""


@functools.cache
def unsupported_reason(device: str) -> str:
    """Why the kernels do not run on a device, in a few words; empty if they do.

    The smallest of them is tried: Triton needs a compiler and a driver that fit.

    Args:
        device: resolved, for example "cuda:1".
    """
    if not device.startswith("cuda"):
        return "they are for GPUs"
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    try:
        from evalsuite.engine.native.kernels.log_sums import difference_in_a_trial

        difference = difference_in_a_trial(device)
    except Exception as error:
        return why_it_stopped(error)
    return "" if difference <= 1e-4 else f"a trial differed by {difference:.1e} from torch"
