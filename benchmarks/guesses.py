"""Generates texts with and without guessed tokens (`engine.native.slots.prompt_lookup`), on a CPU.

    python benchmarks/guesses.py humaneval gsm8k_cot --data DIR [--positions 0 24 40] [--threads 1]

positions: maximum in a pass that checks guesses; 0 for no guesses. steps: passes over one token of each row.
The texts must be the same.
"""

import argparse
import collections
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from hflm import Asking, by_evalsuite
from versus_lm_eval import WORKLOADS, askings_of, selected_documents

from evalsuite.checkpoints import resolve
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.slots import generate
from evalsuite.engine.native.slots.forward import Slots
from evalsuite.engine.native.slots.prompt_lookup import PromptLookup
from evalsuite.requests.build import build_requests

COLUMNS = (
    "work",
    "positions",
    "s",
    "steps",
    "s of steps",
    "checks",
    "s of checks",
    "guessed",
    "right",
    "same",
)
PREVIEW = 4
"""Requests to answer before the clock starts."""


class Counts(collections.Counter):
    """Counts of the work while texts are generated."""

    def watch(self) -> None:
        """Start counting this process's calls."""
        decode, check, record = Slots.decode, Slots.check, PromptLookup.record_acceptance

        def timed(name: str, method):  # noqa: ANN001, ANN202
            def call(slots: Slots, tokens: torch.Tensor) -> torch.Tensor:
                started = time.perf_counter()
                logits = method(slots, tokens)
                self[f"s of {name}"] += time.perf_counter() - started
                self[name] += 1
                return logits

            return call

        def recorded(lookup: PromptLookup, guessed: int, right: int) -> None:
            self["guessed"] += guessed
            self["right"] += right
            record(lookup, guessed, right)

        Slots.decode, Slots.check = timed("steps", decode), timed("checks", check)
        PromptLookup.record_acceptance = recorded


def rows(
    engine: TransformersEngine, counts: Counts, name: str, askings: Sequence[Asking], positions: Sequence[int]
) -> Iterator[tuple[str, ...]]:
    """Rows of the table."""
    by_evalsuite(engine, askings[:PREVIEW])
    first = None
    for most in positions:
        generate.DRAFT_POSITIONS[engine.device] = most
        counts.clear()
        started = time.perf_counter()
        texts = by_evalsuite(engine, askings)
        seconds = time.perf_counter() - started
        first = first or texts
        figures = [counts[name] for name in COLUMNS[3:-1]]
        yield (
            name,
            str(most),
            f"{seconds:.1f}",
            *(f"{one:.1f}" if isinstance(one, float) else str(one) for one in figures),
            "yes" if texts == first else "NO",
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    texts = [name for name, work in WORKLOADS.items() if work.cap]
    parser.add_argument("works", nargs="+", metavar="WORK", choices=texts, help=", ".join(texts))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--documents", type=int)
    parser.add_argument("--positions", type=int, nargs="+", default=[0, 24])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    engine = TransformersEngine(resolve(options.model), dtype="float32", device="cpu")
    counts = Counts()
    counts.watch()
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS))
    for name in options.works:
        prepared = selected_documents(WORKLOADS[name], options.data, documents=options.documents)
        asked = [
            one for one in build_requests(prepared, engine.tokenizer, engine.max_length, 0) if one.requests
        ]
        for row in rows(engine, counts, name, askings_of(asked, WORKLOADS[name].cap), options.positions):
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
