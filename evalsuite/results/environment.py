"""What a run ran on."""

import os
import platform

from evalsuite.results.versions import ANSWERING, OF_SOME, installed

PACKAGES = (*ANSWERING, *OF_SOME, "datasets", "lm-eval", "math-verify")


def environment() -> dict[str, str]:
    """Versions of what can move a score, and the machine; nothing is imported for it."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": str(os.cpu_count()),
        **installed(PACKAGES),
    }
