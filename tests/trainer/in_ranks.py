"""Two processes of a training, forked from one that has imported torch, on a gloo group.

Standard input has one line per training: [FOLDER, WRAPPER, TROUBLE] as JSON; the folder holds the bench. Each
process writes `FOLDER/<rank>.json`: its log's scores, its losses, or the error that it got. The reply is a
line of exit codes; who does not end by itself in a minute has the exit code null.
"""

import json
import os
import sys
import traceback
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
from torch import distributed

from evalsuite import Evaluator, UserError
from tests.engine.tiny import VOCABULARY, byte_tokenizer
from tests.forked import exit_codes
from tests.runs.bench import ADDRESSES
from tests.trainer.audit import differences, state_of
from tests.trainer.models import Plain, with_dropout

MODELS = {"ddp": with_dropout, "fsdp": with_dropout, "ddp plain": Plain, "fsdp plain": Plain}


def wrapped(model: torch.nn.Module, wrapper: str) -> torch.nn.Module:
    if wrapper.startswith("ddp"):
        return torch.nn.parallel.DistributedDataParallel(model)
    from torch.distributed.fsdp import fully_shard

    for layer in model.transformer.h if hasattr(model, "transformer") else [model.query, model.head]:
        fully_shard(layer)
    return fully_shard(model)


def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> float:
    """A training step on random tokens, other ones on each rank."""
    ids = torch.randint(5, VOCABULARY, (2, 16))
    output = model(ids)
    logits = getattr(output, "logits", output)
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


def whole_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights as one process has them; all processes gather them."""
    inner = getattr(model, "module", model)
    return {
        name: value.full_tensor() if hasattr(value, "full_tensor") else value
        for name, value in inner.state_dict().items()
    }


def shares_of(model: torch.nn.Module) -> dict[str, object]:
    """What this process has of a model under FSDP2."""
    weights = {
        name: (id(each), type(each).__name__, each.to_local().data_ptr(), each.requires_grad)
        for name, each in model.named_parameters()
    }
    modules = {f"{name} is": (id(each), each.training) for name, each in model.named_modules()}
    return {**weights, **modules, "torch": torch.get_rng_state().tolist()}


def plant(model: torch.nn.Module, trouble: str) -> None:
    """A hook that fails in some forward pass of an evaluation."""
    inner = getattr(model, "module", model)
    layer = inner.transformer.h[0] if hasattr(inner, "transformer") else inner.head
    passes: list[int] = []

    def fail(module: torch.nn.Module, *_: object) -> None:
        passes.append(1)
        if len(passes) > 6:
            if trouble == "dies":
                os._exit(9)
            raise RuntimeError("planted")

    layer.register_forward_hook(fail)


def train(folder: Path, wrapper: str, trouble: str, rank: int) -> dict:
    torch.manual_seed(7)
    model = wrapped(MODELS[wrapper](), wrapper).train()
    torch.manual_seed(rank)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    data = folder / ("empty" if trouble == "no data" and rank == 0 else "data")
    evaluator = Evaluator(ADDRESSES, byte_tokenizer(), data=data, include=[folder / "tiny_tasks.py"])
    if trouble in ("raises", "dies") and rank == 1:
        plant(model, trouble)
    found: dict = {"losses": [], "scores": [], "differences": [], "passes": 0}

    def count(module: torch.nn.Module, *_: object) -> None:
        found["passes"] += not module.training

    (model.module if hasattr(model, "module") else model).register_forward_hook(count)
    for number in range(4):
        found["losses"].append(step(model, optimizer) if trouble in ("", "never") else 0.0)
        if trouble == "never" or number % 2 == 0:
            continue
        look = state_of if wrapper.startswith("ddp") else shares_of
        before = look(model)
        log = evaluator(model, step=number)
        found["differences"] += differences(before, look(model))
        weights = whole_weights(model)
        if log:
            torch.save(weights, folder / f"weights-{number}.pt")
            found["scores"].append({task.name: task.metrics[task.headline].value for task in log.tasks})
            found["numerics"], found["notes"] = log.model.numerics, log.notes
    return found


def start(rank: int, port: int, folder: Path, wrapper: str, trouble: str) -> int:
    """Process id of one of the two."""
    child = os.fork()
    if child:
        return child
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    os.dup2(os.open(folder / f"{rank}.err", os.O_WRONLY | os.O_CREAT), 2)
    code = 70
    try:
        torch.set_num_threads(1)
        address = f"tcp://localhost:{port}"
        distributed.init_process_group(
            "gloo", init_method=address, rank=rank, world_size=2, timeout=timedelta(seconds=40)
        )
        try:
            found = train(folder, wrapper, trouble, rank)
            code = 0
        except UserError as error:
            found = {"error": str(error)}
            code = 2
        (folder / f"{rank}.json").write_text(json.dumps(found), "utf-8")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    import evalsuite.engine.live.module_engine
    import evalsuite.engine.live.shared_engine
    import evalsuite.runs.execute  # noqa: F401 - before the fork

    for line in sys.stdin:
        folder, wrapper, trouble = json.loads(line)
        begin = partial(start, folder=Path(folder), wrapper=wrapper, trouble=trouble)
        codes = exit_codes(begin, seconds=100)
        print(json.dumps(codes), flush=True)


if __name__ == "__main__":
    serve()
