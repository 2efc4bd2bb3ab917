"""`--deterministic`: the same requests give bit-identical scores each time.

The guarantee: on one machine, with the same versions and enough memory for the plan's packs, a set of
requests gets bit-identical scores in any order, in one run, in parts (`Engine.partition`) or resumed after
finished packs. The same request within another set may differ in its last digits, since the tokens that it
shares with other requests decide how its attention is split. It does not depend on the sizes of matrix
products: packs are padded to a few fixed sizes.
"""

import os

from evalsuite.errors import ModelError

SETTING = "deterministic"
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
SMALLEST = 256
"""Tokens of the smallest padded pack; pack sizes are this times a power of two."""


def switch_on() -> None:
    """Make torch use only operations whose result does not depend on timing, from now on in this process.

    Raises:
        ModelError: the process used a GPU before, so that cuBLAS has read its environment variable already.
    """
    import torch

    if WORKSPACE not in os.environ and _used_a_gpu():
        raise ModelError(
            "--deterministic must be on before a process first uses a GPU: start a new process, or set "
            f"{WORKSPACE}=:4096:8 in its environment."
        )
    os.environ.setdefault(WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False


def _used_a_gpu() -> bool:
    """Whether this process ever had a tensor on a GPU; asking for a GPU's memory is no use of it."""
    import torch

    cuda = torch.cuda
    return cuda.is_initialized() and any(map(cuda.max_memory_allocated, range(cuda.device_count())))


def fixed_size(tokens: int) -> int:
    """The size to which a pack of `tokens` tokens is padded."""
    size = SMALLEST
    while size < tokens:
        size *= 2
    return size
