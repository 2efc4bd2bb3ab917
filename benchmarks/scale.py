"""Measures the cost of the `--workers` driver: many tiny requests through real workers, as in a run.

    python benchmarks/scale.py --requests 100000 --workers 2 [--width 128] [--layers 4] [--part N]
    python benchmarks/scale.py --task mmlu --data DIR

The model is a random Llama, so small that each request takes almost no time: the worst case for the driver.
Prints the CPU seconds of the driver (planning, keys, assignment, storing: everything between requests and
stored answers), of the workers, and of Ray's daemons; the workers' busy time; the bytes sent and received;
and the driver's steps, each run alone.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil

from evalsuite.checkpoints import ModelFiles, resolve
from evalsuite.data.folder import data_folder
from evalsuite.engine.planning.partition import tokens_of
from evalsuite.engine.protocol import R
from evalsuite.engine.replicas.engine import ReplicatedEngine
from evalsuite.engine.replicas.scheduler import PartScheduler
from evalsuite.engine.replicas.serialize import (
    pack_requests,
    pack_responses,
    unpack_requests,
    unpack_responses,
)
from evalsuite.engine.replicas.supervisor import ReplicaConfig
from evalsuite.engine.replicas.worker import EngineSetup
from evalsuite.engine.settings import EngineSpec
from evalsuite.progress import Silent, WorkerState
from evalsuite.registry.registry import Registry
from evalsuite.requests.build import build_requests
from evalsuite.requests.document import generate_requests, score_requests
from evalsuite.requests.prepare import prepare
from evalsuite.results.store import ResponseStore, request_key
from evalsuite.runs.answering import answer
from evalsuite.types import Generated, Request, Response, Score, ScoreRequest

T = TypeVar("T")
KEYWORDS: dict[str, Any] = {
    "dtype": "float32",
    "device": "cpu",
    "trust_remote_code": False,
    "verify_weights": False,
}
VOCABULARY = 32_000
CONTEXT, CHOICES = 12, 4
"""Number of tokens in a question, and number of continuations (one to three tokens) to score after it."""


def tiny_requests(count: int) -> list[ScoreRequest]:
    """Questions without common prefixes, with four continuations each."""
    draw = random.Random(0)
    requests: dict[ScoreRequest, None] = {}
    while len(requests) < count:
        context = tuple(draw.randrange(VOCABULARY) for _ in range(CONTEXT))
        for size in range(CHOICES):
            continuation = tuple(draw.randrange(VOCABULARY) for _ in range(1 + size % 3))
            requests[ScoreRequest(context, continuation)] = None
    return list(requests)[:count]


def tiny_model(folder: Path, width: int, layers: int) -> ModelFiles:
    """A random Llama with an unused tokenizer."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE())).save_pretrained(folder)
    return resolve(str(folder))


class Watch(Silent):
    """What the workers say of themselves, and what their processes spend once they have loaded the model."""

    def __init__(self) -> None:
        self.states: dict[int, WorkerState] = {}
        self.before: dict[int, float] = {}

    def worker(self, state: WorkerState) -> None:
        """Remember the state."""
        pid = int(state.place.split()[-1]) if state.place else 0
        if pid and state.state == "working" and pid not in self.before:
            self.before[pid] = cpu_seconds(pid)
        self.states[state.number] = state

    def spent(self) -> float:
        """CPU seconds of all workers since they had loaded the model."""
        return sum(cpu_seconds(pid) - before for pid, before in self.before.items())


def cpu_seconds(pid: int) -> float:
    """Of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def daemons() -> float:
    """CPU seconds of Ray's own processes on this machine: those that this process started."""
    children = psutil.Process().children(recursive=True)
    return sum(cpu_seconds(child.pid) for child in children if not child.cmdline()[0].startswith("ray::"))


class InPartsOf(ReplicatedEngine):
    """Cuts requests into parts of `size`, to tell what a part costs from what a request costs."""

    size: int | None = None

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """Of `size` requests each; as the engine would, if that is None."""
        if not self.size:
            return super().partition(requests)
        return [tuple(requests[start : start + self.size]) for start in range(0, len(requests), self.size)]


def through_workers(
    files: ModelFiles, requests: list[ScoreRequest], workers: int, size: int | None, store: Path
) -> None:
    """One run's answering, as the runner does it."""
    watch = Watch()
    engine = InPartsOf(
        EngineSetup(EngineSpec("native", files, **KEYWORDS)), ReplicaConfig(workers), watch.worker
    )
    engine.size = size
    responses = ResponseStore(store)
    try:
        engine.load()
        cpu, others, began = time.process_time(), daemons(), time.perf_counter()
        answers = answer(requests, [], engine, responses, Silent())
        wall, driver = time.perf_counter() - began, time.process_time() - cpu
        rest, spent = daemons() - others, watch.spent()
    finally:
        engine.close()
        responses.close()
    assert all(isinstance(answers.by_request[one], Score) for one in requests)
    at_work = sum(state.seconds for state in watch.states.values())
    print(f"{len(requests):,} requests, {workers} workers, {len(os.sched_getaffinity(0))} cores")
    print(f"driver            {driver:8.2f} CPU s   {1e6 * driver / len(requests):6.1f} us a request")
    print(f"workers           {spent:8.2f} CPU s   {at_work:8.2f} s at work together")
    print(f"Ray's daemons     {rest:8.2f} CPU s")
    print(f"before that       {sum(watch.before.values()) / workers:8.2f} CPU s a worker, to start and load")
    print(f"driver / workers  {driver / spent:8.1%} of CPU s")
    print(f"wall              {wall:8.2f} s       {len(requests) / wall:8,.0f} requests a second", flush=True)
    on_the_wire(engine, requests, answers.by_request)


def on_the_wire(engine: ReplicatedEngine, requests: list[ScoreRequest], answers: dict) -> None:
    """Print the bytes, counted by packing everything again."""
    parts = engine.partition(requests)
    sent = sum(len(pack_requests(part)) for part in parts)
    received = sum(len(pack_responses(answers[one] for one in part)) for part in parts)
    each = f"{sent / len(requests):.0f} and {received / len(requests):.0f} a request"
    print(f"wire              {sent:,} bytes sent, {received:,} received in {len(parts)} parts ({each})")


def steps(files: ModelFiles, requests: Sequence[Request], store: Path) -> None:
    """Run each step of the driver alone, for requests of one kind."""
    engine = EngineSetup(EngineSpec("native", files, **KEYWORDS)).make()
    identity = engine.identity
    keys = timed("keys", lambda: [request_key(one, identity) for one in requests])
    parts: list[tuple[Request, ...]] = timed("parts", lambda: engine.partition(requests))  # type: ignore[type-var]
    timed("handout", lambda: PartScheduler(parts))
    tokens = timed("tokens planned", lambda: [tokens_of(part) for part in parts])
    sent = timed("pack requests", lambda: [pack_requests(part) for part in parts])
    timed("(worker) unpack", lambda: [unpack_requests(one) for one in sent])
    made = [[made_up(one) for one in part] for part in parts]
    back = timed("(worker) pack", lambda: [pack_responses(some) for some in made])
    answers = timed("unpack answers", lambda: [unpack_responses(one) for one in back])
    responses = ResponseStore(store)
    key = dict(zip(requests, keys, strict=True))
    blocks = [[*zip(part, some, strict=True)] for part, some in zip(parts, answers, strict=True)]

    def put() -> None:
        for block in blocks:
            responses.put((key[request], response) for request, response in block)

    timed(f"store in {len(parts):,} commits", put)
    timed("look up what is stored", lambda: responses.get(keys))
    responses.close()
    print(
        f"  {len(requests):,} requests, {sum(map(len, sent)):,} bytes sent, {sum(map(len, back)):,} received"
    )
    print(f"  {len(parts):,} parts, {sum(tokens):,} tokens at most, {max(tokens):,} in the largest part")


def made_up(request: Request) -> Response:
    """An answer of a realistic size."""
    if isinstance(request, ScoreRequest):
        return Score((-1.25,) * len(request.continuation), is_greedy=False)
    return Generated("word " * request.max_tokens, request.max_tokens, "length")


def requests_of(address: str, files: ModelFiles, data: Path | None) -> Sequence[Request]:
    """The requests of all documents of a task."""
    [selected] = Registry.load().select([address])
    prepared = prepare(selected, data_dir=data_folder(data))
    engine = EngineSetup(EngineSpec("native", files, **KEYWORDS)).make()
    asked = build_requests(prepared, engine.tokenizer, engine.max_length, 0)
    return score_requests(asked) or generate_requests(asked)


def timed(name: str, work: Callable[[], T]) -> T:
    """Run `work` and print its CPU seconds."""
    began = time.process_time()
    result = work()
    print(f"  {name:24} {time.process_time() - began:8.2f} CPU s", flush=True)
    return result


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--part", type=int, help="requests per part, instead of the engine's choice")
    parser.add_argument("--task", help="no workers: only the driver's steps, for a task's real requests")
    parser.add_argument("--model", default="smollm2-135m", help="model whose tokenizer encodes the task")
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        if options.task:
            files = resolve(options.model)
            requests = requests_of(options.task, files, options.data)
        else:
            files = tiny_model(Path(folder, "model"), options.width, options.layers)
            requests = tiny_requests(options.requests)
            through_workers(files, requests, options.workers, options.part, Path(folder, "store.sqlite"))
        print("the driver's steps, each alone:")
        steps(files, requests, Path(folder, "steps.sqlite"))


if __name__ == "__main__":
    main()
