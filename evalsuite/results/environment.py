"""The machine and package versions of a run."""

import os
import platform

from evalsuite.results.versions import ANSWERING, OF_SOME, installed

PACKAGES = (*ANSWERING, *OF_SOME, "datasets", "lm-eval", "math-verify")


def environment() -> dict[str, str]:
    """The machine, and versions of the packages that can change a score, without importing them."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": str(os.cpu_count()),
        **installed(PACKAGES),
    }
