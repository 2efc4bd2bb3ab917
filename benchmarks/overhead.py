"""Measures the time that the engine adds to the model's own time, by workload.

    python benchmarks/overhead.py mmlu gsm8k --data DIR [--documents 24] [--threads 1]

total: seconds for answering the requests, with the weights loaded.
forward: seconds of these in the model, its head included.
tree: seconds of forward that tree attention spends outside its attention kernel (gathering blocks, writing
them back, merging parts); not measured for slots, which have their own attention.
added: total minus (forward minus tree), as a share of (forward minus tree).
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from transformers import AttentionInterface
from versus_lm_eval import WORKLOADS, askings_of, selected_documents

from evalsuite.checkpoints import resolve
from evalsuite.engine.native import score_packed as packed
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.slots import forward as slots_forward
from evalsuite.engine.native.trees import attention as tree_attention
from evalsuite.requests.build import build_requests
from evalsuite.types import GenerateRequest, ScoreRequest


class Clock:
    """The total seconds of all calls of a function."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def on(self, module: Any, name: str) -> Iterator[None]:
        """Measure the calls of `module.name`."""
        called: Callable[..., Any] = getattr(module, name)

        def counted(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return called(*args, **options)
            finally:
                self.seconds += time.perf_counter() - began

        with patch.object(module, name, counted):
            yield


def measured(engine: TransformersEngine, scores: list[ScoreRequest], texts: list[GenerateRequest]) -> str:
    """The cells of a row: total, forward, tree, added."""
    forward, trees, kernels = Clock(), Clock(), Clock()
    began = time.perf_counter()
    with (
        forward.on(packed, "run_body"),
        forward.on(packed, "logits_at"),
        forward.on(slots_forward, "run_at"),
        trees.on(tree_attention, "tree_attention"),
        kernels.on(tree_attention, "_attend"),
    ):
        AttentionInterface.register(tree_attention.NAME, tree_attention.tree_attention)
        for _ in (*engine.score(scores), *engine.generate(texts)):
            pass
    total = time.perf_counter() - began
    tree = trees.seconds - kernels.seconds
    own = forward.seconds - tree
    return f"{total:.2f} | {forward.seconds:.2f} | {tree:.2f} | {100 * (total - own) / own:.1f} %"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("works", nargs="+", metavar="WORK", choices=WORKLOADS, help=", ".join(WORKLOADS))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--documents", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    engine = TransformersEngine(resolve(options.model), dtype="float32", device="cpu")
    torch.set_num_threads(options.threads)
    print(
        "| work | documents | total s | forward s | tree s | added |\n| --- | ---: | ---: | ---: | ---: | "
        "---: |"
    )
    for name in options.works:
        workload = WORKLOADS[name]
        prepared = selected_documents(workload, options.data, documents=options.documents, members=1)
        asked = [
            one for one in build_requests(prepared, engine.tokenizer, engine.max_length, 0) if one.requests
        ]
        requests = [request for request, _ in askings_of(asked, workload.cap)]
        scores = [one for one in requests if isinstance(one, ScoreRequest)]
        texts = [one for one in requests if isinstance(one, GenerateRequest)]
        for _ in (*engine.score(scores[:2]), *engine.generate(texts[:1])):
            pass
        print(f"| {name} | {len(asked)} | {measured(engine, scores, texts)} |", flush=True)


if __name__ == "__main__":
    main()
