"""Tokens that evalsuite computes for a suite, beside the positions that its reference evaluator computes.

    python benchmarks/core_positions.py --suite core --limit 50 --model smollm2-135m --data DIR

No model runs: the tokens of the plan are those of `evalsuite run --plan-only`, and the reference's positions
follow from its rule on the same token ids. nanochat (`core`): a document's choices are one batch padded to
the longest, a language-modelling document is one sequence. llm-foundry (`core_dclm`): every sequence is
padded to 2,048.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from evalsuite.checkpoints import resolve
from evalsuite.data.subset import Subset
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.work_estimate import work_of
from evalsuite.registry.registry import Registry
from evalsuite.requests.build import build_requests
from evalsuite.requests.document import DocumentRequests, score_requests
from evalsuite.requests.prepare import prepare
from evalsuite.types import ScoreRequest

FOUNDRY_LENGTH = 2048


def lengths(document: DocumentRequests) -> list[int]:
    """Tokens of each whole sequence."""
    scores = [one for one in document.requests if isinstance(one, ScoreRequest)]
    return [len(one.context) + len(one.continuation) for one in scores]


def nanochat(document: DocumentRequests) -> int:
    """Positions of one batch, padded to its longest sequence."""
    found = lengths(document)
    return len(found) * max(found, default=0)


def llm_foundry(document: DocumentRequests) -> int:
    """Positions of sequences that are padded to the model's length."""
    return len(document.requests) * FOUNDRY_LENGTH


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", default="core", choices=["core", "core:500", "core_dclm"])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    engine = TransformersEngine(resolve(options.model), dtype="float32", device="cpu")
    rule = llm_foundry if options.suite == "core_dclm" else nanochat
    every: list[DocumentRequests] = []
    print("| task | documents | sequences | positions of the reference | distinct tokens | share |")
    print("|---|---:|---:|---:|---:|---:|")
    for selected in Registry.load().select([options.suite]):
        prepared = prepare(selected, data_dir=options.data, subset=Subset(options.limit))
        asked = build_requests(prepared, engine.tokenizer, engine.max_length, 0)
        every += asked
        show(selected.spec.task, engine, asked, rule)
    show("all tasks together", engine, every, rule)


def show(
    name: str,
    engine: TransformersEngine,
    asked: list[DocumentRequests],
    rule: Callable[[DocumentRequests], int],
) -> None:
    """One row: what the reference computes, and what the plan does."""
    theirs = sum(map(rule, asked))
    ours = work_of(engine, score_requests(asked), []).planned
    sequences = sum(len(one.requests) for one in asked)
    cells = (name, len(asked), f"{sequences:,}", f"{theirs:,}", f"{ours:,}", f"{ours / theirs:.0%}")
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
