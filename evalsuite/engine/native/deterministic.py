"""`--deterministic`: the same requests give the same digits each time.

Promised is this: on one machine, with the same versions and with memory for the plan's packs, a set of
requests gets the same scores to the last digit, in whatever order it is asked, in one go, in parts
(`Engine.partition`) or resumed after finished packs. The same request within another set may differ in its
last digits, as what it shares with others decides how its attention is cut; what it does not depend on is the
size of matrix products, which is one of few.
"""

import os

SETTING = "deterministic"
SMALLEST = 256
"""Tokens of a padded pack; sizes are this times a power of two."""


def switch_on() -> None:
    """Let torch choose no operation whose result depends on timing, in this process from here on.

    cuBLAS reads its variable when a GPU is first used.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False


def fixed_size(tokens: int) -> int:
    """The size that a pack of so many tokens is padded to."""
    size = SMALLEST
    while size < tokens:
        size *= 2
    return size
