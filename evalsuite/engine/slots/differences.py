"""How far logits may be from those that they should equal."""

import torch

LARGEST_DIFFERENCE = {torch.float32: 1e-3}
"""By data type, relative to the spread of the logits. A wrong cache is off by their whole spread."""
LARGEST_IN_HALF_PRECISION = 0.1


def allowed_difference(dtype: torch.dtype) -> float:
    """For a model whose weights are of this type; as a share of the spread."""
    return LARGEST_DIFFERENCE.get(dtype, LARGEST_IN_HALF_PRECISION)


def difference_of(found: torch.Tensor, own: torch.Tensor) -> float:
    """The largest of (..., vocabulary) logits, relative to the spread (norm about the mean) of `own`."""
    spread = (own - own.mean(dim=-1, keepdim=True)).norm(dim=-1)
    return float(((found - own).norm(dim=-1) / spread).max())
