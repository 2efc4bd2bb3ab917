"""A scoring process: reads one call per line, writes one verdict per line. `workers.py` starts it.

python -m evalsuite.scoring.worker package.module:function SECONDS

A call that uses more CPU time than SECONDS ends the process by SIGXCPU: the kernel can interrupt what Python
cannot, such as a power of huge integers, which is a single instruction for Python.
"""

import importlib
import json
import math
import os
import resource
import sys
import time

MEMORY_BYTES = 4 << 30
"""Address space of a scorer, so that an exploding symbolic expression ends its call, not the machine."""


def main(target: str, seconds: float) -> None:
    """Serve calls of `target` until standard input ends, each within `seconds` of CPU time."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    verdicts = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # output of a library must not be read as a verdict
    module, _, name = target.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:
        print(json.dumps({"error": _described(error)}), file=verdicts, flush=True)
        return
    print(json.dumps({"ready": True}), file=verdicts, flush=True)
    for line in sys.stdin:
        _limit_cpu_time(seconds)
        try:
            answer = {"verdict": function(*json.loads(line))}
        except MemoryError:
            answer = {"exceeded": f"{MEMORY_BYTES >> 30} GiB of memory"}
        except BaseException as error:
            answer = {"error": _described(error)}
        print(json.dumps(answer), file=verdicts, flush=True)


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _limit_cpu_time(seconds: float) -> None:
    """Limit CPU time from now on; the kernel counts whole seconds of the process's total."""
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    limit = math.ceil(time.process_time() + seconds)
    soft = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, most))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
