"""What a run ran on."""

import os
import platform
from importlib import metadata

PACKAGES = (
    "evalsuite",
    "torch",
    "transformers",
    "tokenizers",
    "gguf",
    "datasets",
    "lm-eval",
    "math-verify",
    "mamba-ssm",
    "causal-conv1d",
    "flash-attn",
)


def environment() -> dict[str, str]:
    """Versions of what can move a score, and the machine; nothing is imported for it."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": str(os.cpu_count()),
        **versions,
    }
