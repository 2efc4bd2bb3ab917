"""Runs the same documents through two versions of evalsuite by turns, each in its own process.

    python benchmarks/versus_version.py OTHER_CHECKOUT WORK... --data DIR [--threads 1] [--repeats 2]

Prints a Markdown table: seconds of this version and of the other (the medians), the ratio (above 1: this one
is faster), and whether the answers are equal to the last digit. Each uses the Python of its checkout's
`.venv`, else this one; their packages must be of the same versions. The machine must be quiet.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
PREVIEW = 4
COLUMNS = ("work", "threads", "dtype", "requests")
TIMES = ("s", "other s", "ratio", "CPU s", "other CPU s", "CPU ratio")


class Version:
    """A checkout's engine in a process of its own, which answers one line of JSON with another."""

    def __init__(self, checkout: Path, options: argparse.Namespace) -> None:
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_WAIT_POLICY": "PASSIVE"}
        own = checkout / ".venv/bin/python"
        python = str(own) if own.exists() else sys.executable
        command = [python, __file__, "--serve", "--model", options.model, "--dtype", options.dtype]
        command += ["--data", str(options.data)] if options.data else []
        self._checkout = checkout
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=checkout,
        )

    def turn(self, **asked: Any) -> dict[str, Any]:
        """Wall and CPU seconds, and the answers of a workload."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        found = json.loads(self._process.stdout.readline())
        assert Path(found["package"]).is_relative_to(self._checkout), "another version was imported"
        return found


def serve(options: argparse.Namespace) -> None:
    """Answer lines of standard input, with the evalsuite that PYTHONPATH names first."""
    output, sys.stdout = sys.stdout, sys.stderr
    import torch
    from hflm import by_evalsuite
    from versus_lm_eval import WORKLOADS, askings_of, selected_documents

    import evalsuite
    from evalsuite.checkpoints import resolve
    from evalsuite.engine.native.engine import TransformersEngine
    from evalsuite.requests.build import build_requests

    engine = TransformersEngine(resolve(options.model), dtype=options.dtype, device="cpu")
    for line in sys.stdin:
        asked = json.loads(line)
        workload = WORKLOADS[asked["work"]]
        prepared = selected_documents(workload, options.data, documents=asked["documents"])
        built = build_requests(prepared, engine.tokenizer, engine.max_length, 0)
        askings = askings_of([one for one in built if one.requests], workload.cap)
        torch.set_num_threads(asked["threads"])
        by_evalsuite(engine, askings[:PREVIEW])
        wall, cpu = time.perf_counter(), time.process_time()
        answers = by_evalsuite(engine, askings)
        found = {
            "package": evalsuite.__file__,
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
            "answers": answers,
        }
        print(json.dumps(found), file=output, flush=True)


def row(name: str, mine: list[dict], others: list[dict], options: argparse.Namespace) -> tuple[str, ...]:
    """A row of the table, from the turns of both versions."""
    cells = [name, str(options.threads), options.dtype, str(len(mine[0]["answers"]))]
    for kind in ("wall", "cpu"):
        ours, theirs = (statistics.median(turn[kind] for turn in turns) for turns in (mine, others))
        cells += [f"{ours:.1f}", f"{theirs:.1f}", f"{theirs / ours:.3f}"]
    pairs = list(zip(mine[0]["answers"], others[0]["answers"], strict=True))
    differing = [(one, other) for one, other in pairs if one != other]
    if not differing:
        return (*cells, "equal")
    if isinstance(differing[0][0], str):
        return (*cells, f"{len(differing)} of {len(pairs)} texts differ")
    return (*cells, f"off by up to {max(abs(one - other) for one, other in differing):.1e}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, nargs="?")
    parser.add_argument("works", nargs="*", metavar="WORK")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--documents", type=int, help="of each member task [default: the workload's]")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options)
        return
    options.data = options.data and options.data.resolve()
    this, other = Version(HERE, options), Version(options.other.resolve(), options)
    print("| " + " | ".join((*COLUMNS, *TIMES, "answers")) + " |")
    print("|" + " --- |" * (len(COLUMNS) + len(TIMES) + 1))
    for name in options.works:
        asked = {"work": name, "threads": options.threads, "documents": options.documents}
        turns = [(this.turn(**asked), other.turn(**asked)) for _ in range(options.repeats)]
        print("| " + " | ".join(row(name, *map(list, zip(*turns, strict=True)), options)) + " |", flush=True)


if __name__ == "__main__":
    main()
