"""Trials of kernels on the modules of a loaded model, with inputs of several magnitudes."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

ROWS = 5
SCALES = (1e-3, 1.0, 30.0, 1000.0)
"""Magnitudes of the trial's rows, so that a clamp, a cap or another epsilon shows."""
LARGEST_DIFFERENCE = {torch.float32: 1e-5, torch.bfloat16: 2.0**-7, torch.float16: 2.0**-10}
"""By data type: largest difference in a row, as a share of its largest value: one rounding, in half."""

Variant = TypeVar("Variant")
TensorFunction = Callable[..., torch.Tensor]


def rows_of(width: int, like: torch.Tensor, dtype: torch.dtype | None = None, seed: int = 0) -> torch.Tensor:
    """(1, rows, width) random rows of all magnitudes, like a tensor; in another data type if it is given."""
    random = torch.Generator().manual_seed(seed)
    rows = torch.randn((len(SCALES), ROWS, width), generator=random)
    rows = rows * torch.tensor(SCALES)[:, None, None]
    return rows.flatten(0, 1)[None].to(like.device, dtype or like.dtype)


def best_variant(
    own: TensorFunction, variants: Sequence[tuple[Variant, TensorFunction]], inputs: Sequence[tuple[Any, ...]]
) -> Variant | None:
    """The variant that gives most of the values that `own` gives; None if none agrees with it on all inputs.

    Args:
        own: the model's own code.
        variants: each with the function that computes it.
        inputs: arguments of the calls that are compared.
    """
    found: list[tuple[int, int]] = []
    expected = [own(*arguments) for arguments in inputs]
    for place, (_, function) in enumerate(variants):
        compared = [_unequal(function(*one), by_own) for one, by_own in zip(inputs, expected, strict=True)]
        if None not in compared:
            found.append((sum(count for count in compared if count is not None), place))
    return variants[min(found)[1]][0] if found else None


def _unequal(found: torch.Tensor, expected: torch.Tensor) -> int | None:
    """How many values are not those expected, rounded as `found` is; None if any is too far from it."""
    if found.shape != expected.shape:
        return None
    allowed = LARGEST_DIFFERENCE.get(found.dtype, 0.0)
    expected = expected.to(found.dtype)
    equal = (found == expected) | (found.isnan() & expected.isnan())
    off = (found.float() - expected.float()).abs().masked_fill(equal, 0)
    largest = expected.float().abs().nan_to_num(nan=0, posinf=0).amax(-1, keepdim=True)
    return int((~equal).sum()) if bool((off <= allowed * largest).all()) else None


def flattened(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Several results as one, row by row."""
    return torch.cat([part.flatten(0, -2) for part in parts])
