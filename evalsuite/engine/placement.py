"""A model's device and data type, and the size limits of its batches.

torch is imported only to find or check a device.
"""

import ctypes
import os
import sys
from dataclasses import dataclass

from evalsuite.errors import ModelError


@dataclass(frozen=True, slots=True)
class Budget:
    """Size limits of one batch. A single row is always allowed, however long."""

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
"""The device name for all devices: layers go to all GPUs, and to the machine's memory when these are full."""
LOGITS_DTYPES = ("float32", "model")
ROUNDED_SCORES = "rounded-scores"
"""Part of a class of numerics where logits are "model": log-likelihoods are rounded to it, too."""

CPU_BUDGET = Budget(tokens=1024, logits=2**25, cached_tokens=2**15, rows=32)
"""A CPU gains nothing from larger batches; small batches stay in its caches."""
GPU_BUDGET = Budget(tokens=2**14, logits=2**28, cached_tokens=2**18, rows=128)


FLOAT32_SETTINGS = {
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": ("", "0"),
    "ONEDNN_DEFAULT_FPMATH_MODE": ("", "STRICT"),
    "DNNL_DEFAULT_FPMATH_MODE": ("", "STRICT"),
}
"""Variables by which torch and oneDNN reduce the precision of float32 products, and their harmless values."""


def reduced_float32() -> str:
    """What reduces the precision of float32 products in this process, for the class of numerics; or empty."""
    for variable, harmless in FLOAT32_SETTINGS.items():
        value = os.environ.get(variable, "").upper()
        if value not in harmless:
            return f"float32-products-{'tf32' if value == '1' else value.lower()}"
    torch = sys.modules.get("torch")
    precision = torch.get_float32_matmul_precision() if torch else "highest"
    return "" if precision == "highest" else f"float32-products-{precision}"


def device_name(device: str) -> str:
    """The name of a GPU, such as "NVIDIA H100 80GB HBM3"; empty without a driver, and for other devices."""
    if not device.startswith("cuda"):
        return ""
    import torch

    try:
        return torch.cuda.get_device_name(device)
    except (AssertionError, RuntimeError):  # torch without CUDA, or no driver
        return ""


def resolve_device(device: str) -> str:
    """Resolve a device name: "auto" and "spread" are the first GPU, else the CPU.

    Raises:
        ModelError: the device is unknown, or not on this machine.
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
        raise ModelError(f"Device '{device}' was requested, but torch sees no GPU here.")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"Device '{device}' was requested, but torch sees {torch.cuda.device_count()} GPU(s)."
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ModelError("Device 'mps' was requested, but torch sees no such device here.")
    return device


def resolve_dtype(dtype: str, device: str) -> str:
    """Resolve a data type for a resolved device: "auto" is float32 on a CPU, else bfloat16.

    Raises:
        ModelError: the data type is unknown.
    """
    if dtype == "auto":
        return "float32" if device == "cpu" else "bfloat16"
    if dtype not in DTYPES:
        raise ModelError(f"Unknown data type '{dtype}': use auto, {', '.join(DTYPES)}.")
    return dtype


def resolve_logits_dtype(logits_dtype: str) -> str:
    """Check that `logits_dtype` is "float32" or "model"; raises ModelError for anything else."""
    if logits_dtype not in LOGITS_DTYPES:
        raise ModelError(f"Unknown data type of logits '{logits_dtype}': use {' or '.join(LOGITS_DTYPES)}.")
    return logits_dtype


def default_budget(device: str) -> Budget:
    """The batch limits for a resolved device."""
    return CPU_BUDGET if device == "cpu" else GPU_BUDGET


def wait_without_spinning() -> None:
    """Let idle OpenMP threads sleep, unless the user has set how they wait; call it before torch is imported.

    Spinning threads occupy cores that other processes need: on two busy cores, scoring with two spinning
    threads took three times as long as with passive ones.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""


def keep_freed_memory() -> None:
    """Keep the memory of freed tensors for the next ones; for models on a CPU, where the C library is glibc.

    By default glibc returns every tensor of a few megabytes to the system and requests it again page by page:
    scoring took 10 to 12 % longer.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            mallopt(parameter, 2**31 - 1)
