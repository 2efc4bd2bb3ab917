"""A scoring process: reads one call a line, writes one verdict a line. Started by `workers.py`.

python -m evalsuite.scoring.worker package.module:function
"""

import importlib
import json
import os
import resource
import sys

MEMORY_BYTES = 4 << 30
"""Address space of one scorer: a symbolic expression that explodes ends its call, not the machine."""


def main(target: str) -> None:
    """Serve calls of `target` until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    verdicts = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not be read as a verdict
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)
    print(json.dumps({"ready": True}), file=verdicts, flush=True)
    for line in sys.stdin:
        try:
            answer = {"verdict": function(*json.loads(line))}
        except BaseException as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), file=verdicts, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
