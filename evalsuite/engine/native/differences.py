"""How far computed logits may differ from reference logits."""

import torch

LARGEST_DIFFERENCE = {torch.float32: 1e-3}
"""By data type, relative to the spread of the logits. A wrong KV cache is off by the whole spread."""
LARGEST_IN_HALF_PRECISION = 0.1


def allowed_difference(dtype: torch.dtype) -> float:
    """The largest allowed difference for a model with weights of this type; a share of the spread."""
    return LARGEST_DIFFERENCE.get(dtype, LARGEST_IN_HALF_PRECISION)


def difference_of(found: torch.Tensor, own: torch.Tensor) -> float:
    """Largest difference of (..., vocabulary) logits, relative to the spread (norm about the mean) of `own`.

    Rows of `own` with a value that is not finite are left out. A row that is not finite only in `found` has
    an infinite difference.
    """
    finite = own.isfinite().all(dim=-1)
    if not finite.any():
        return 0.0
    found, own = found.to(own.device)[finite], own[finite]
    spread = (own - own.mean(dim=-1, keepdim=True)).norm(dim=-1).clamp(min=torch.finfo(torch.float32).tiny)
    return float(((found - own).norm(dim=-1) / spread).nan_to_num(nan=torch.inf).max())
