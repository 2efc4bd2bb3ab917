"""evalsuite's own GPU kernels, in Triton; each has an equivalent of torch functions next to it.

- `trees.kernels.tables`: a packed tree in the form that the kernels read.
- `trees.kernels.conv`, `trees.kernels.scan`: the two operations by which a Mamba-2 layer mixes tokens
  (`trees.mamba`).
- `log_sums`: log-sum-exp and maximum of rows of logits, from which `score_batch.read_targets` computes the
  log-probabilities of single tokens.

Triton is imported with the modules that contain kernels, which are not imported if
`kernels_unsupported_reason` gives a reason. No kernel is tuned by timing: equal inputs give equal results in
every process.
"""

import functools
import importlib.util

from evalsuite.engine.native.stand_in import why_it_stopped

NUMERICS = "triton"
"""The word for these kernels in the class of numerics."""


@functools.cache
def kernels_unsupported_reason(device: str) -> str:
    """Why the kernels do not run on a device, in a few words; empty if they do.

    Tries the smallest kernel: Triton needs a matching compiler and driver.

    Args:
        device: a resolved device, for example "cuda:1".
    """
    if not device.startswith("cuda"):
        return "only for GPUs"
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    try:
        from evalsuite.engine.native.kernels.log_sums import difference_in_a_trial

        difference = difference_in_a_trial(device)
    except Exception as error:
        return why_it_stopped(error)
    return "" if difference <= 1e-4 else f"a trial differed by {difference:.1e} from torch"
