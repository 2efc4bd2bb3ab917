"""The rotary embedding of queries and keys, which layers compute by a function of their module.

Over 100 families have Llama's function: the second half of a head's columns is paired with the first. Some
rotate only a head's first columns (GPT-NeoX, Bamba), some compute in float32 (OLMo). Functions that pair
neighbouring columns (Cohere, GLM) have no kernel here.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch

from evalsuite.engine.native.kernels.pointwise.functions import rotated
from evalsuite.engine.native.kernels.pointwise.trial import ROWS, SCALES, best_variant, flattened

ROTARY = "apply_rotary_pos_emb"
"""The function's name in transformers' modules."""
PARAMETERS = ("q", "k", "cos", "sin")
TRIAL_HEADS = 3, 2
"""Heads of the trial's queries and keys."""

Rotation = Callable[..., tuple[torch.Tensor, torch.Tensor]]
Rounding = dict[Any, bool | None]
"""By function, data types, device and widths: the kernel's variant, or None if it does not agree."""


def by_kernel(known: Rounding, used: Callable[[], None]) -> Callable[[Rotation], Rotation]:
    """A factory of functions that rotate by the kernel what it computes as the original does.

    Args:
        known: remembers the trials of each function.
        used: called whenever the kernel computes.
    """

    def make(original: Rotation) -> Rotation:
        if tuple(inspect.signature(original).parameters)[:4] != PARAMETERS:
            return original

        def rotate(q: Any, k: Any, cos: Any, sin: Any, *others: Any, **options: Any) -> Any:
            rounded = None
            if not others and not options and _fits(q, k, cos, sin):
                key = original, q.dtype, cos.dtype, q.device, q.shape[-1], cos.shape[-1]
                if key not in known:
                    known[key] = _tried(original, q, cos)
                rounded = known[key]
            if rounded is None:
                return original(q, k, cos, sin, *others, **options)
            used()
            return rotated(q, k, cos, sin, rounded=rounded)

        return rotate

    return make


def _fits(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> bool:
    """Whether the tensors have the layout that the kernel reads."""
    batch, _, tokens, width = q.shape if q.ndim == 4 else (0, 0, 0, 0)
    return (
        batch > 0
        and k.ndim == 4
        and (k.shape[0], *k.shape[2:], k.dtype) == (batch, tokens, width, q.dtype)
        and cos.shape == sin.shape
        and cos.ndim == 3
        and cos.shape[0] in (1, batch)
        and cos.shape[1] == tokens
        and cos.shape[2] % 2 == 0
        and 0 < cos.shape[2] <= width
        and all(part.stride(-1) == 1 for part in (q, k, cos, sin))
    )


@torch.inference_mode()
def _tried(original: Rotation, q: torch.Tensor, cos: torch.Tensor) -> bool | None:
    """The variant that agrees with a function on random queries and keys of these widths, or None."""
    random = torch.Generator().manual_seed(0)
    tokens = ROWS * len(SCALES)
    scales = torch.tensor(SCALES).repeat_interleave(ROWS)[:, None, None]
    queries, keys = (
        (torch.randn((1, tokens, heads, q.shape[-1]), generator=random) * scales).to(q).transpose(1, 2)
        for heads in TRIAL_HEADS
    )
    angles = [
        (torch.rand((1, tokens, cos.shape[-1] // 2), generator=random) * 2 - 1).repeat(1, 1, 2).to(cos)
        for _ in ("cos", "sin")
    ]
    arguments = (queries, keys, *angles)
    try:
        variants = [
            (rounded, lambda *call, rounded=rounded: flattened(rotated(*call, rounded=rounded)))
            for rounded in (True, False)
        ]
        return best_variant(lambda *call: flattened(original(*call)), variants, [arguments])
    except Exception:  # Boundary: functions of unknown code raise errors of every kind, and so do compilers.
        return None
