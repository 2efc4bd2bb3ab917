"""`--deterministic`: the same requests give bit-identical scores each time.

The guarantee: on one machine, with the same versions and enough memory for the plan's packs, a set of
requests gets bit-identical scores in any order, in one run, in parts (`Engine.partition`) or resumed after
finished packs. The same request within another set may differ in its last digits, since the tokens that it
shares with other requests decide how its attention is split. It does not depend on the sizes of matrix
products: packs are padded to a few fixed sizes.
"""

import os

SETTING = "deterministic"
SMALLEST = 256
"""Tokens of the smallest padded pack; pack sizes are this times a power of two."""


def switch_on() -> None:
    """Make torch use only operations whose result does not depend on timing, from now on in this process.

    cuBLAS reads its environment variable when a GPU is first used.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False


def fixed_size(tokens: int) -> int:
    """The size to which a pack of `tokens` tokens is padded."""
    size = SMALLEST
    while size < tokens:
        size *= 2
    return size
