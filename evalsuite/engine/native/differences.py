"""How far logits may be from those that they should equal."""

import torch

LARGEST_DIFFERENCE = {torch.float32: 1e-3}
"""By data type, relative to the spread of the logits. A wrong cache is off by their whole spread."""
LARGEST_IN_HALF_PRECISION = 0.1


def allowed_difference(dtype: torch.dtype) -> float:
    """For a model whose weights are of this type; as a share of the spread."""
    return LARGEST_DIFFERENCE.get(dtype, LARGEST_IN_HALF_PRECISION)


def difference_of(found: torch.Tensor, own: torch.Tensor) -> float:
    """The largest of (..., vocabulary) logits, relative to the spread (norm about the mean) of `own`.

    Rows of `own` that are not all finite tell nothing, and are left out; a row of `found` that alone is not
    is infinitely off.
    """
    finite = own.isfinite().all(dim=-1)
    if not finite.any():
        return 0.0
    found, own = found.to(own.device)[finite], own[finite]
    spread = (own - own.mean(dim=-1, keepdim=True)).norm(dim=-1).clamp(min=torch.finfo(torch.float32).tiny)
    return float(((found - own).norm(dim=-1) / spread).nan_to_num(nan=torch.inf).max())
