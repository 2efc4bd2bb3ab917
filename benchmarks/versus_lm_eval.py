"""The same documents through evalsuite's engine and lm-eval's HFLM, by turns, on one model object.

    python benchmarks/versus_lm_eval.py mmlu hellaswag --data DIR [--members 8] [--documents 24] [--threads 1]

Prints a Markdown table. Both sides get the same token ids and neither encodes any within the clock. HFLM runs at
--batch rows, right-padded; its tokens are all positions that it computes, padding too. Wall and CPU seconds are
those of this process; a ratio counts only if nothing else ran.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalsuite.ask import Asked, ask, score_requests
from evalsuite.checkpoints import resolve
from evalsuite.engine import TransformersEngine
from evalsuite.engine.work import work_of
from evalsuite.prepare import PreparedTask, prepare
from evalsuite.registry import Registry
from evalsuite.types import Score, ScoreRequest

WORKS = {
    "mmlu": "lm_eval/mmlu@5",
    "hellaswag": "lm_eval/hellaswag@10",
    "hellaswag_0": "lm_eval/hellaswag@0",
    "arc_letters": "arc_challenge:letters@25",
    "arc_fixed": "evalsuite/arc_challenge:letters",
}
COLUMNS = (
    "work", "threads", "documents", "requested", "distinct", "ours", "HFLM", "wall s", "HFLM wall s", "wall ratio",
    "CPU ratio", "largest difference", "changed answers",
)  # fmt: skip


@dataclass(frozen=True)
class Timing:
    """Seconds that something took."""

    wall: float
    cpu: float


def timed(work: Callable[[], Any]) -> tuple[Any, Timing]:
    """The result and what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, Timing(time.perf_counter() - wall, time.process_time() - cpu)


class Reference:
    """lm-eval's HFLM on a loaded model, with the positions that it computes."""

    def __init__(self, engine: TransformersEngine, batch: int) -> None:
        from lm_eval.models.huggingface import HFLM

        self.positions = 0
        self._model = HFLM(
            pretrained=engine._loaded.model, tokenizer=engine.tokenizer._tokenizer, batch_size=batch
        )
        call = self._model._model_call

        def counted(inputs: Any, **options: Any) -> Any:
            self.positions += inputs.numel()
            return call(inputs, **options)

        self._model._model_call = counted

    def score(self, requests: Iterable[ScoreRequest]) -> dict[ScoreRequest, float]:
        """Log-likelihoods."""
        asked = list(requests)
        encoded = [(("", str(n)), [*one.context], [*one.continuation]) for n, one in enumerate(asked)]
        found = self._model._loglikelihood_tokens(encoded, disable_tqdm=True)
        return {one: total for one, (total, _) in zip(asked, found, strict=True)}


def first(prepared: PreparedTask, members: int, documents: int) -> PreparedTask:
    """The first documents of each of the first member tasks; of the whole task, if it has none."""
    names = list(dict.fromkeys(one.subtask for one in prepared.documents))[:members]
    places = [
        place
        for place, one in enumerate(prepared.documents)
        if one.subtask in names and one.subtask_index < documents
    ]
    return replace(
        prepared,
        documents=[prepared.documents[place] for place in places],
        shots=[prepared.shots[place] for place in places],
    )


def scored(engine: TransformersEngine, requests: list[ScoreRequest]) -> dict[ScoreRequest, float]:
    """Log-likelihoods by the engine."""
    answers = (answer for block in engine.score(requests) for answer in block.answers)
    return {request: answer.log_likelihood for request, answer in answers if isinstance(answer, Score)}


def changed(asked: list[Asked], one: dict[ScoreRequest, float], other: dict[ScoreRequest, float]) -> int:
    """Documents whose likeliest choice differs."""

    def best(document: Asked, found: dict[ScoreRequest, float]) -> int:
        totals = [found[request] for request in document.requests if isinstance(request, ScoreRequest)]
        return totals.index(max(totals))

    return sum(best(document, one) != best(document, other) for document in asked)


def compare(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """Rows of the table."""
    import torch

    engine = TransformersEngine(resolve(options.model), dtype=options.dtype, device="cpu")
    reference = Reference(engine, options.batch)
    registry = Registry.load()
    for name in options.works:
        [selected] = registry.select([WORKS.get(name, name)])
        prepared = first(prepare(selected, data_dir=options.data), options.members, options.documents)
        asked = [one for one in ask(prepared, engine.tokenizer, engine.max_length, 0) if one.requests]
        requests = score_requests(asked)
        work = work_of(engine, requests, [])
        for threads in options.threads:
            torch.set_num_threads(threads)
            scored(engine, requests[:4])  # the trial of packs, and first calls of kernels
            for _ in range(options.repeats):
                ours, our_time = timed(lambda: scored(engine, requests))  # noqa: B023
                reference.positions = 0
                theirs, their_time = timed(lambda: reference.score(requests))  # noqa: B023
                yield (
                    name,
                    str(threads),
                    str(len(asked)),
                    f"{work.requested:,}",
                    f"{work.distinct:,}",
                    f"{work.planned:,}",
                    f"{reference.positions:,}",
                    f"{our_time.wall:.1f}",
                    f"{their_time.wall:.1f}",
                    f"{their_time.wall / our_time.wall:.2f}",
                    f"{their_time.cpu / our_time.cpu:.2f}",
                    f"{max(abs(ours[one] - theirs[one]) for one in requests):.1e}",
                    str(changed(asked, ours, theirs)),
                )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("works", nargs="+", metavar="WORK", help=f"{', '.join(WORKS)}, or a task's address")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--members", type=int, default=8, help="member tasks (MMLU's subjects)")
    parser.add_argument("--documents", type=int, default=24, help="of each member task")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=1)
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + " --- |" * len(COLUMNS))
    for row in compare(parser.parse_args()):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
