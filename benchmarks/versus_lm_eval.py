"""Runs the same documents through evalsuite's engine and lm-eval's HFLM, in turn, each in its own process.

    python benchmarks/versus_lm_eval.py mmlu gsm8k --data DIR [--documents 24] [--threads 1 2] [--batch 8 16]
    python benchmarks/versus_lm_eval.py mmlu gsm8k_cot --data DIR --dtype bfloat16 --beside float32

Prints a Markdown table. Both sides get the same token ids (texts are generated from the same contexts, which
HFLM encodes itself) and load the model before the clock starts. HFLM runs at each of the --batch sizes; its
tokens are all positions that it computes, padding included. CPU seconds are those of a side's process. A
ratio is valid only if nothing else ran on the machine.

With --beside, evalsuite's engine also takes its turn in a second data type; "its" columns compare this with
evalsuite's engine in the first: how much longer it takes, and what is different.
"""

import argparse
import functools
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hflm import Asking, by_evalsuite, by_hflm, counting, difference

from evalsuite.checkpoints import resolve
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.work_estimate import work_of
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.build import build_requests
from evalsuite.requests.document import DocumentRequests
from evalsuite.requests.prepare import prepare
from evalsuite.types import GenerateRequest, Request, ScoreRequest


@dataclass(frozen=True)
class Workload:
    """The documents for both sides."""

    address: str
    documents: int
    """Number per member task."""
    members: int = 1
    fixed_shots: bool = False
    """Use the first rows of the shots' split as every document's shots."""
    cap: int | None = None
    """Maximum number of tokens in a text."""


WORKLOADS = {
    "mmlu": Workload("lm_eval/mmlu@5", 24, members=8),
    "hellaswag": Workload("lm_eval/hellaswag@10", 24),
    "arc_letters": Workload("arc_challenge:letters@25", 24),
    "arc_letters_fixed": Workload("arc_challenge:letters@25", 96, fixed_shots=True),
    "gsm8k": Workload("gsm8k", 40, cap=256),
    "gsm8k_cot": Workload("lm_eval/gsm8k_cot", 40, cap=256),
    "humaneval": Workload("lm_eval/humaneval", 32, cap=256),
}
COLUMNS = (
    "work",
    "threads",
    "batch",
    "documents",
    "requested",
    "distinct",
    "planned",
    "ours",
    "HFLM",
    "wall s",
    "HFLM wall s",
    "wall ratio",
    "CPU ratio",
    "largest difference",
    "changed answers",
)
BESIDE = ("its wall s", "its wall ratio", "its CPU ratio", "its largest difference", "its changed answers")
"""Columns of the engine in a second data type."""
PREVIEW = 4
"""Requests that a side answers before the clock starts, to warm up every kernel."""


@dataclass(frozen=True)
class Turn:
    """The answers and times of one side for a workload."""

    answers: list[Any]
    """Log-likelihood or text, by request."""
    wall: float
    cpu: float
    positions: int
    """Number of positions that the model computed."""


class _Side:
    """A model in its own process; `_begin` makes one instance per process."""

    def __init__(self, model: str, dtype: str, ours: bool) -> None:
        self._engine = TransformersEngine(resolve(model), dtype=dtype, device="cpu")
        self._ours = ours
        if ours:
            self._model = self._engine.model.loaded.model
        else:
            from transformers import AutoModelForCausalLM

            files = self._engine.files
            self._model = AutoModelForCausalLM.from_pretrained(
                files.folder, gguf_file=files.gguf_file, dtype=dtype, local_files_only=True
            ).eval()

    def turn(self, askings: Sequence[Asking], threads: int, batch: int) -> Turn:
        import torch

        torch.set_num_threads(threads)
        if self._ours:
            answer = functools.partial(by_evalsuite, self._engine)
        else:
            answer = by_hflm(self._model, self._engine.tokenizer._tokenizer, batch)
        answer(askings[:PREVIEW])
        with counting(self._model) as computed:
            wall, cpu = time.perf_counter(), time.process_time()
            answers = answer(askings)
            return Turn(answers, time.perf_counter() - wall, time.process_time() - cpu, computed.positions)


_side: _Side


def _begin(*settings: Any) -> None:
    global _side
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _side = _Side(*settings)


def _turn(askings: Sequence[Asking], threads: int, batch: int = 0) -> Turn:
    return _side.turn(askings, threads, batch)


def selected_documents(
    workload: Workload, data: Path | None, *, documents: int | None = None, members: int | None = None
) -> PreparedTask:
    """The first documents of each of the first member tasks, or of a task without members.

    Args:
        workload: the task and its default numbers.
        data: folder with data sets.
        documents: number per member task, instead of the workload's.
        members: number of member tasks, instead of the workload's.
    """
    [selected] = Registry.load().select([workload.address])
    if workload.fixed_shots:
        shots = selected.spec.shots.model_copy(update={"draw": "first"})
        selected = replace(selected, spec=selected.spec.model_copy(update={"shots": shots}))
    prepared = prepare(selected, data_dir=data)
    names = list(dict.fromkeys(one.subtask for one in prepared.documents))[: members or workload.members]
    places = [
        place
        for place, one in enumerate(prepared.documents)
        if one.subtask in names and one.subtask_index < (documents or workload.documents)
    ]
    return replace(
        prepared,
        documents=[prepared.documents[place] for place in places],
        shots=[prepared.shots[place] for place in places],
    )


def askings_of(asked: Sequence[DocumentRequests], cap: int | None) -> list[Asking]:
    """The distinct requests with their contexts' texts; generated texts have at most `cap` tokens."""
    found: dict[Request, str] = {}
    for one in asked:
        for request in one.requests:
            if isinstance(request, GenerateRequest) and cap is not None:
                request = replace(request, max_tokens=min(cap, request.max_tokens))
            found[request] = one.prompt.contexts[0]
    return list(found.items())


def changed(asked: Sequence[DocumentRequests], askings: Sequence[Asking], ours: Turn, theirs: Turn) -> str:
    """Number of documents whose most likely choice differs."""
    places = {request: place for place, (request, _) in enumerate(askings)}
    if not isinstance(askings[0][0], ScoreRequest):
        return "—"

    def best(document: DocumentRequests, turn: Turn) -> int:
        totals = [turn.answers[places[request]] for request in document.requests]
        return totals.index(max(totals))

    return str(sum(best(one, ours) != best(one, theirs) for one in asked))


def compared(
    asked: Sequence[DocumentRequests], askings: Sequence[Asking], ours: Turn, other: Turn
) -> tuple[str, ...]:
    """The cells of `BESIDE`."""
    return (
        f"{other.wall:.1f}",
        f"{other.wall / ours.wall:.2f}",
        f"{other.cpu / ours.cpu:.2f}",
        difference(ours.answers, other.answers),
        changed(asked, askings, ours, other),
    )


def rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """Rows of the table."""
    spawn = multiprocessing.get_context("spawn")
    planning = TransformersEngine(resolve(options.model), dtype=options.dtype, device="cpu")
    with ExitStack() as stack:

        def side(dtype: str, ours: bool) -> ProcessPoolExecutor:
            begin = (options.model, dtype, ours)
            return stack.enter_context(ProcessPoolExecutor(1, spawn, _begin, begin))

        ours, hflm = side(options.dtype, True), side(options.dtype, False)
        beside = side(options.beside, True) if options.beside else None
        for name in options.works:
            workload = WORKLOADS[name]
            prepared = selected_documents(
                workload, options.data, documents=options.documents, members=options.members
            )
            asked = [
                one
                for one in build_requests(prepared, planning.tokenizer, planning.max_length, 0)
                if one.requests
            ]
            askings = askings_of(asked, workload.cap)
            requests = [request for request, _ in askings]
            work = work_of(
                planning,
                [one for one in requests if isinstance(one, ScoreRequest)],
                [one for one in requests if isinstance(one, GenerateRequest)],
            )
            for _, threads in ((n, t) for n in range(options.repeats) for t in options.threads):
                mine = ours.submit(_turn, askings, threads).result()
                also = beside.submit(_turn, askings, threads).result() if beside else None
                for batch in options.batch:
                    other = hflm.submit(_turn, askings, threads, batch).result()
                    yield (
                        name,
                        str(threads),
                        str(batch),
                        str(len(asked)),
                        f"{work.requested:,}",
                        f"{work.distinct:,}",
                        f"{work.planned:,}",
                        f"{mine.positions:,}",
                        f"{other.positions:,}",
                        f"{mine.wall:.1f}",
                        f"{other.wall:.1f}",
                        f"{other.wall / mine.wall:.2f}",
                        f"{other.cpu / mine.cpu:.2f}",
                        difference(mine.answers, other.answers),
                        changed(asked, askings, mine, other),
                        *(compared(asked, askings, mine, also) if also else ()),
                    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("works", nargs="+", metavar="WORK", choices=WORKLOADS, help=", ".join(WORKLOADS))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="float32", help="of both sides [default: float32]")
    parser.add_argument("--beside", help="a second data type for evalsuite's engine")
    parser.add_argument(
        "--members", type=int, help="member tasks (MMLU's subjects) [default: the workload's]"
    )
    parser.add_argument("--documents", type=int, help="of each member task [default: the workload's]")
    parser.add_argument("--batch", type=int, nargs="+", default=[8], help="HFLM's batch sizes")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    columns = (*COLUMNS, *(BESIDE if options.beside else ()))
    print("| " + " | ".join(columns) + " |")
    print("|" + " --- |" * len(columns))
    for row in rows(options):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
