"""On which device and in which data type a model runs, and how big its batches may be.

torch is imported only where a device has to be found or checked.
"""

import ctypes
import os
import sys
from dataclasses import dataclass

from evalsuite.errors import ModelError


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one batch may hold. A single row is always allowed, however long."""

    tokens: int
    """Rows x longest row of a scoring batch."""
    logits: int
    """Scored positions x vocabulary of a scoring batch."""
    cached_tokens: int
    """Rows x (longest prompt + longest answer) of a generating batch."""
    rows: int
    """Rows of a generating batch."""


DTYPES = ("float32", "bfloat16", "float16")
SPREAD = "spread"
"""The device that is all of them: layers over all GPUs, and in the machine's memory where these are full."""
LOGITS_DTYPES = ("float32", "model")
ROUNDED_SCORES = "rounded-scores"
"""Says in a class of numerics that logits are "model": log-likelihoods are numbers of their data type,
too."""

CPU_BUDGET = Budget(tokens=1024, logits=2**25, cached_tokens=2**15, rows=32)
"""A CPU gains nothing from larger batches; small ones stay in its caches."""
GPU_BUDGET = Budget(tokens=2**14, logits=2**28, cached_tokens=2**18, rows=128)


FLOAT32_SETTINGS = {
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": ("", "0"),
    "ONEDNN_DEFAULT_FPMATH_MODE": ("", "STRICT"),
    "DNNL_DEFAULT_FPMATH_MODE": ("", "STRICT"),
}
"""Variables of torch and oneDNN that let products of float32 be computed in fewer bits, and what leaves them
whole."""


def reduced_float32() -> str:
    """What makes products of float32 less precise in this process, for the class of numerics; empty if
    nothing."""
    for variable, whole in FLOAT32_SETTINGS.items():
        value = os.environ.get(variable, "").upper()
        if value not in whole:
            return f"float32-products-{'tf32' if value == '1' else value.lower()}"
    torch = sys.modules.get("torch")
    precision = torch.get_float32_matmul_precision() if torch else "highest"
    return "" if precision == "highest" else f"float32-products-{precision}"


def resolve_device(device: str) -> str:
    """The device that `device` means: "auto" and "spread" are the first GPU, else the CPU.

    Raises:
        ModelError: unknown, or not on this machine.
    """
    if device == "cpu":
        return device
    import torch

    if device in ("auto", SPREAD):
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, index = device.partition(":")
    if kind not in ("cuda", "mps") or (index and not index.isdigit()):
        raise ModelError(f"Unknown device '{device}': use auto, cpu, cuda, cuda:0, mps or {SPREAD}.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"Device '{device}' asked for, but torch sees no GPU here.")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ModelError(f"Device '{device}' asked for, but torch sees {torch.cuda.device_count()} GPU(s).")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ModelError("Device 'mps' asked for, but torch sees none here.")
    return device


def resolve_dtype(dtype: str, device: str) -> str:
    """The data type that `dtype` means on a resolved device: "auto" is float32 on a CPU, else bfloat16.

    Raises:
        ModelError: unknown.
    """
    if dtype == "auto":
        return "float32" if device == "cpu" else "bfloat16"
    if dtype not in DTYPES:
        raise ModelError(f"Unknown data type '{dtype}': use auto, {', '.join(DTYPES)}.")
    return dtype


def resolve_logits_dtype(logits_dtype: str) -> str:
    """ "float32" or "model"; raises ModelError for anything else."""
    if logits_dtype not in LOGITS_DTYPES:
        raise ModelError(f"Unknown data type of logits '{logits_dtype}': use {' or '.join(LOGITS_DTYPES)}.")
    return logits_dtype


def default_budget(device: str) -> Budget:
    """Batch sizes for a resolved device."""
    return CPU_BUDGET if device == "cpu" else GPU_BUDGET


def wait_without_spinning() -> None:
    """Let idle OpenMP threads sleep, unless the user has said how they wait; before torch is imported.

    Spinning threads take the cores that the others need: on two busy cores scoring ran three times
    slower with two threads than with passive ones.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""


def keep_freed_memory() -> None:
    """Let freed tensors be taken again by the next ones; for models on a CPU, where the C library is glibc.

    By default every tensor of some megabytes is given back to the system and asked for again, page by page:
    scoring took 10 to 12 % longer so.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            mallopt(parameter, 2**31 - 1)
