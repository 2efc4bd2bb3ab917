"""Two processes that train together evaluate as one does, and a failing one does not hang the other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from evalsuite import Evaluator
from tests.engine.tiny import byte_tokenizer
from tests.runs.bench import ADDRESSES, Bench
from tests.trainer.in_ranks import MODELS

SCRIPT = Path(__file__).with_name("in_ranks.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def training():
    """Trains with two processes in a bench's folder; gives their exit codes and what each one found."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        [sys.executable, str(SCRIPT)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def train(bench: Bench, wrapper: str, trouble: str = "") -> tuple[list[int | None], list[dict]]:
        (bench.folder / "empty").mkdir(exist_ok=True)
        for path in bench.folder.glob("*.json"):
            path.unlink()
        server.stdin.write(json.dumps([str(bench.folder), wrapper, trouble]) + "\n")
        server.stdin.flush()
        codes = json.loads(server.stdout.readline())
        files = [bench.folder / f"{rank}.json" for rank in range(2)]
        return codes, [json.loads(path.read_text()) if path.exists() else {} for path in files]

    yield train
    server.stdin.close()
    server.wait()


@pytest.mark.parametrize(
    "wrapper",
    [pytest.param(name, marks=() if name == "fsdp plain" else pytest.mark.slow) for name in MODELS],
)
def test_two_processes_score_as_one_and_train_as_without_evaluations(wrapper, training, bench):
    codes, (first, second) = training(bench, wrapper)
    assert codes == [0, 0], (bench.folder / "0.err").read_text() + (bench.folder / "1.err").read_text()
    assert second["scores"] == []
    assert first["differences"] == second["differences"] == []
    assert first["passes"] > 20
    assert first["passes"] == second["passes"] or wrapper.startswith("ddp")
    packed = wrapper == "ddp"
    assert first["numerics"] == ("transformers float32 cpu packed" if packed else "module float32 cpu")
    alone = Evaluator(ADDRESSES, byte_tokenizer(), data=bench.data, include=[bench.plugin])
    for step, scores in zip((1, 3), first["scores"], strict=True):
        model = MODELS[wrapper]()
        model.load_state_dict(torch.load(bench.folder / f"weights-{step}.pt"))
        log = alone(model)
        expected = {task.name: task.metrics[task.headline].value for task in log.tasks}
        assert scores == pytest.approx(expected, abs=1e-6)
    _, without = training(bench, wrapper, "never")
    assert [first["losses"], second["losses"]] == [each["losses"] for each in without]


def test_an_error_of_rank_0_is_told_to_all(training, bench):
    codes, found = training(bench, "fsdp", "no data")
    assert codes == [2, 2]
    assert "tiny/quiz" in found[0]["error"]
    assert "failed on rank 0" in found[1]["error"]


def test_an_error_of_another_rank_is_told_to_all_where_each_has_the_whole_model(training, bench):
    codes, found = training(bench, "ddp plain", "raises")
    assert codes == [2, 2]
    assert [each["error"] for each in found] == [found[0]["error"]] * 2
    assert "Rank 1" in found[0]["error"]
    assert "planted" in found[0]["error"]


@pytest.mark.parametrize(
    ("wrapper", "trouble"), [("fsdp", "raises"), ("fsdp plain", "dies"), ("ddp", "dies")]
)
def test_no_process_waits_for_one_that_has_gone(wrapper, trouble, training, bench):
    codes, _ = training(bench, wrapper, trouble)
    assert None not in codes
    assert 0 not in codes


def test_tensor_parallel_weights_are_refused():
    """In a process of its own, whose group is its own, too."""
    code = """
import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module
from evalsuite import Evaluator, UserError
from tests.engine.tiny import byte_tokenizer, tiny_llama

distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
mesh = init_device_mesh("cpu", (1,), mesh_dim_names=("tp",))
model = parallelize_module(tiny_llama(), mesh, {"model.layers.*.mlp.up_proj": ColwiseParallel()})
try:
    Evaluator("arc_easy", byte_tokenizer())(model)
except UserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "layers.0.mlp.up_proj.weight is divided among processes by more than FSDP" in done.stdout
