"""Which implementation computes each part of a model's work, and the candidates of a device.

On a CPU every part has its plain implementation. On a GPU the candidates of a part are tried on the loaded
model (`trials.parts`), fastest first; a part whose candidates all fail keeps its plain implementation.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Paths:
    """Which implementation computes each part of a model's work; the default ones need no kernel."""

    attention: str = "torch"
    """Attention over trees: "torch" (in blocks), "levels" (varlen cascade), "flex" (FlexAttention), or
    "levels-flex": the cascade merged by a kernel, and FlexAttention in layers that it is not made for."""
    scan: str = "torch"
    """Convolution and scan of Mamba-2 over trees: "torch" or "kernels"."""
    log_probs: str = "torch"
    """Log-probabilities of tokens: "torch" or "kernels"."""
    pointwise: str = "model"
    """Norms, activations and rotary embeddings: "model" (its own code) or "kernels"."""
    prompts: str = "model"
    """The scan of Mamba-2 over prompts in slots: "model" (its own code) or "kernels"."""
    steps: str = "model"
    """Mamba-2 in decode steps over slots: "model" (its own code), "kernels" or "mamba-ssm"."""
    slot_attention: str = "torch"
    """Attention over slots: "torch" (matrix products) or "paged" (varlen with a block table)."""
    graphs: str = "none"
    """Decode steps over slots: "none" (launched one by one) or "cuda" (captured as CUDA graphs)."""

    def using(self, part: str, name: str) -> "Paths":
        """These paths with another implementation of one part."""
        change: dict[str, Any] = {part: name}
        return replace(self, **change)

    def plain_in(self, *parts: str) -> "Paths":
        """These paths with the plain implementation of the given parts."""
        return replace(self, **{part: getattr(PLAIN, part) for part in parts})

    @property
    def words(self) -> tuple[str, ...]:
        """A word for each part in the class of numerics of a GPU, for example "attention=levels"."""
        return tuple(f"{part.replace('_', '-')}={getattr(self, part)}" for part in PARTS)


PLAIN = Paths()
"""Every part without kernels."""
PARTS = tuple(field.name for field in fields(Paths))
"""The names of the parts."""
WORK_OF = {
    "attention": "attention over packed trees",
    "scan": "Mamba-2 over packed trees",
    "log_probs": "log-probabilities",
    "pointwise": "norms, activations and rotary embeddings",
    "prompts": "Mamba-2 over prompts",
    "steps": "Mamba-2 in decode steps",
    "slot_attention": "attention over slots",
    "graphs": "capture of decode steps",
}
"""What each part computes, as notes name it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An implementation of a part that needs more than torch's functions."""

    name: str
    """The value of the part's field in `Paths`."""
    why_not: Callable[[str, str], str]
    """Why a device (such as "cuda:1") cannot run it in a data type (such as "bfloat16"); "" if it can.

    Imports what it needs when it is called.
    """


GPUS = ("cuda",)
"""Kinds of devices that have candidates; on others nothing is imported to find out."""


def _varlen(device: str, dtype: str) -> str:
    if device.partition(":")[0] not in GPUS:
        return "only for GPUs"
    from evalsuite.engine.native.trees import varlen

    if dtype not in {str(known).removeprefix("torch.") for known in varlen.KERNEL_DTYPES}:
        return f"it has no kernel for {dtype}"
    return ""


def _triton(device: str, dtype: str) -> str:
    from evalsuite.engine.native import kernels

    return kernels.kernels_unsupported_reason(device)


def _mamba_ssm(device: str, dtype: str) -> str:
    from evalsuite.engine.native.models.packages import mamba_ssm_unsupported_reason

    return mamba_ssm_unsupported_reason(device)


def _paged(device: str, dtype: str) -> str:
    if device.partition(":")[0] not in GPUS:
        return "only for GPUs"
    from evalsuite.engine.native.slots import paged

    return paged.pages_unsupported_reason(device, dtype)


def _cuda_graphs(device: str, dtype: str) -> str:
    return "" if device.partition(":")[0] in GPUS else "only for GPUs"


CANDIDATES: Mapping[str, tuple[Candidate, ...]] = {
    # Why in this order: docs/performance.md, "On a GPU".
    "attention": (
        Candidate("levels-flex", lambda device, dtype: _varlen(device, dtype) or _triton(device, dtype)),
        Candidate("flex", _triton),
        Candidate("levels", _varlen),
    ),
    "scan": (Candidate("kernels", _triton),),
    "log_probs": (Candidate("kernels", _triton),),
    "pointwise": (Candidate("kernels", _triton),),
    "prompts": (Candidate("kernels", _triton),),
    "steps": (Candidate("kernels", _triton), Candidate("mamba-ssm", _mamba_ssm)),
    "slot_attention": (Candidate("paged", _paged),),
    "graphs": (Candidate("cuda", _cuda_graphs),),
}
"""The candidates of each part besides the plain implementation, fastest first."""


def candidates_of(part: str) -> tuple[Candidate, ...]:
    """The candidates of a part, whether a device can run them or not, fastest first."""
    return CANDIDATES[part]


def usable(part: str, device: str, dtype: str) -> Iterator[str]:
    """Names of a part's candidates that the device can run, fastest first; untried on a model."""
    return (one.name for one in CANDIDATES[part] if not one.why_not(device, dtype))


def fastest(device: str, dtype: str) -> Paths:
    """For each part the first usable candidate, else the plain implementation."""
    paths = PLAIN
    for part in PARTS:
        paths = paths.using(part, next(usable(part, device, dtype), getattr(PLAIN, part)))
    return paths


def unusable(device: str, dtype: str) -> dict[str, str]:
    """By part, why the device can run none of its candidates; parts without candidates are left out."""
    reasons = {}
    for part, candidates in CANDIDATES.items():
        why_not = [one.why_not(device, dtype) for one in candidates]
        if why_not and all(why_not):
            reasons[part] = why_not[0]
    return reasons
