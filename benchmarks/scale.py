"""What the driver of `--workers` costs: many tiny requests through real workers, by the code that a run uses.

    python benchmarks/scale.py --requests 100000 --workers 2 [--width 128] [--layers 4]

The model is a random Llama, so small that each request is next to nothing: the driver has as little time per request
as it can ever have. Printed are the CPU seconds of the driver (planning, keys, handing out, storing: everything
between requests and stored answers), of the workers, and of Ray's daemons; how long the workers were at work; what
crossed the wire; and the driver's steps one by one, each run alone.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil

from evalsuite.answering import answer
from evalsuite.checkpoints import ModelFiles, resolve
from evalsuite.engine.parts import tokens_of
from evalsuite.engine.protocol import Block
from evalsuite.engine.replicas.crew import Wanted
from evalsuite.engine.replicas.engine import ReplicatedEngine
from evalsuite.engine.replicas.handout import Handout
from evalsuite.engine.replicas.wire import pack_requests, pack_responses, unpack_requests, unpack_responses
from evalsuite.engine.replicas.worker import EngineSetup
from evalsuite.progress import Silent, WorkerState
from evalsuite.store import ResponseStore, request_key
from evalsuite.types import Score, ScoreRequest

T = TypeVar("T")
VOCABULARY = 32_000
CONTEXT, CHOICES = 12, 4
"""Tokens of a question, and continuations of one to three tokens that are scored after it."""


def tiny_requests(count: int) -> list[ScoreRequest]:
    """Questions that share nothing, four continuations each."""
    draw = random.Random(0)
    requests: dict[ScoreRequest, None] = {}
    while len(requests) < count:
        context = tuple(draw.randrange(VOCABULARY) for _ in range(CONTEXT))
        for size in range(CHOICES):
            continuation = tuple(draw.randrange(VOCABULARY) for _ in range(1 + size % 3))
            requests[ScoreRequest(context, continuation)] = None
    return list(requests)[:count]


def tiny_model(folder: Path, width: int, layers: int) -> ModelFiles:
    """A random Llama with a tokenizer that nobody asks."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=256,
    )  # fmt: skip
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


def through_workers(files: ModelFiles, requests: list[ScoreRequest], workers: int, store: Path) -> None:
    """One run's answering, as the runner does it."""
    keywords: dict[str, Any] = {
        "dtype": "float32", "device": "cpu", "trust_remote_code": False, "verify_weights": False,
    }  # fmt: skip
    watch = Watch()
    engine = ReplicatedEngine(EngineSetup("native", files, keywords), Wanted(workers), watch.worker)
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
    print(f"driver / workers  {driver / spent:8.1%} of CPU s")
    print(f"wall              {wall:8.2f} s       {len(requests) / wall:8,.0f} requests a second", flush=True)
    on_the_wire(engine, requests, answers.by_request)


def on_the_wire(engine: ReplicatedEngine, requests: list[ScoreRequest], answers: dict) -> None:
    """Bytes, counted by packing everything once more."""
    parts = engine.parts(requests)
    sent = sum(len(pack_requests(part)) for part in parts)
    received = sum(len(pack_responses(answers[one] for one in part)) for part in parts)
    each = f"{sent / len(requests):.0f} and {received / len(requests):.0f} a request"
    print(f"wire              {sent:,} bytes sent, {received:,} received in {len(parts)} parts ({each})")


def steps(files: ModelFiles, requests: list[ScoreRequest], store: Path) -> None:
    """Each thing that the driver does, alone."""
    setup = EngineSetup(
        "native",
        files,
        {"dtype": "float32", "device": "cpu", "trust_remote_code": False, "verify_weights": False},
    )
    engine = setup.make()
    identity = engine.identity
    keys = timed("keys", lambda: [request_key(one, identity) for one in requests])
    parts = timed("parts", lambda: engine.parts(requests))
    timed("handout", lambda: Handout(parts))
    timed("tokens planned", lambda: sum(map(tokens_of, parts)))
    sent = timed("pack requests", lambda: [pack_requests(part) for part in parts])
    timed("(worker) unpack", lambda: [unpack_requests(one) for one in sent])
    made = [[Score((-1.25,) * len(one.continuation), is_greedy=False) for one in part] for part in parts]
    back = timed("(worker) pack", lambda: [pack_responses(some) for some in made])
    answers = timed("unpack answers", lambda: [unpack_responses(one) for one in back])
    responses = ResponseStore(store)
    key = dict(zip(requests, keys, strict=True))
    blocks = [
        Block(tuple(zip(part, some, strict=True)), 1, 1) for part, some in zip(parts, answers, strict=True)
    ]

    def put() -> None:
        for block in blocks:
            responses.put((key[request], response) for request, response in block.answers)

    timed(f"store in {len(parts)} commits", put)
    timed("look up what is stored", lambda: responses.get(keys))
    responses.close()


def timed(name: str, work: Callable[[], T]) -> T:
    """Run and print CPU seconds."""
    began = time.process_time()
    result = work()
    print(f"  {name:24} {time.process_time() - began:8.2f} CPU s", flush=True)
    return result


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--steps-only", action="store_true", help="no workers, only the driver's steps")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        files = tiny_model(Path(folder, "model"), options.width, options.layers)
        requests = tiny_requests(options.requests)
        if not options.steps_only:
            through_workers(files, requests, options.workers, Path(folder, "store.sqlite"))
        print("the driver's steps, each alone:")
        steps(files, requests, Path(folder, "steps.sqlite"))


if __name__ == "__main__":
    main()
