"""Packages with GPU kernels that transformers' own code of a family calls where they can be imported.

Packed trees, decode steps and Mamba-2's prompts in slots do not need them: evalsuite computes these itself.
Elsewhere transformers' own recurrent layers run, and take another path, without a word, where a package is
missing or broken (5.23: `use_kernel_func_from_hub_with_fallback`).
"""

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalsuite.engine.native.probe.modeling_code import modeling_code
from evalsuite.engine.native.stand_in import why_it_stopped

_PACKAGES = "mamba[-_]ssm|causal[-_]conv1d|fla"
_NAMED = re.compile(rf"""["']({_PACKAGES})\b|(?:from|import) ({_PACKAGES})\b""")
_RECURRENCES = ("mamba_ssm", "fla")
"""The packages whose absence makes a layer slow; torch's own convolution is fast enough."""


def packages_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Import names of the packages that transformers' code of a configuration's family calls if it can."""
    named = {first or second for first, second in _NAMED.findall(modeling_code(config))}
    return tuple(sorted({name.replace("-", "_") for name in named}))


def why_not_imported(package: str) -> str:
    """Why a package cannot be imported, in a few words; empty if it can."""
    try:
        importlib.import_module(package)
    except Exception as error:  # a package that was built for another torch raises errors of every kind
        return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return ""


def mixers_word(config: Mapping[str, Any], device: str) -> str:
    """Word of the class of numerics: what a GPU's recurrent layers of transformers' own call, or empty.

    For example "mixers=causal_conv1d+mamba_ssm", or "mixers=torch" where no package can be imported.
    """
    packages = packages_of(config) if device.startswith("cuda") else ()
    if not packages:
        return ""
    imported = [package for package in packages if not why_not_imported(package)]
    return f"mixers={'+'.join(imported) or 'torch'}"


def missing_package_notes(config: Mapping[str, Any], device: str, work: Sequence[str]) -> Iterator[str]:
    """Notes for the run log on packages without which transformers' own layers are slow on a GPU.

    Args:
        config: the model's `config.json`.
        device: the device.
        work: for what transformers' own layers run, in words; no notes without any.
    """
    for package in packages_of(config) if device.startswith("cuda") and work else ():
        if package in _RECURRENCES and (problem := why_not_imported(package)):
            yield (
                f"recurrent layers use transformers' torch code for {' and '.join(work)}, which is slow: "
                f"{package} cannot be imported ({problem})"
            )


def mamba_ssm_unsupported_reason(device: str) -> str:
    """Why the package mamba-ssm does not compute decode steps on a device; empty if it does.

    evalsuite's kernels come first also where the package is installed: both read and write a state once,
    which is what the time goes into; the package's programs are smaller (4 rows of a state of 128 numbers
    each), and its convolution is in a further package. Neither has been timed on a GPU.
    """
    if not device.startswith("cuda"):
        return "only for GPUs"
    try:
        from mamba_ssm.ops.triton.selective_state_update import selective_state_update
    except Exception as error:  # Its compiled parts may not fit torch.
        return (
            "mamba-ssm is not installed" if isinstance(error, ModuleNotFoundError) else why_it_stopped(error)
        )
    return "" if callable(selective_state_update) else "mamba-ssm has no state update"
