"""Passes are launched ahead where a device computes while the host goes on; nothing waits in between."""

from contextlib import contextmanager

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from evalsuite.engine.native import scorer, transfer
from evalsuite.engine.native.memory import run_within_memory
from evalsuite.engine.native.score_packed import begin_run
from evalsuite.engine.planning.plan import plan_packs
from tests.engine.native.test_packed_engine import REQUESTS, answers_of
from tests.engine.native.test_score_batch import loaded
from tests.engine.tiny import tiny_llama, tiny_nemotron_h

WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique", "bincount")
"""torch's operations whose result the host must have before it can go on."""


class NoWaiting(TorchDispatchMode):
    """Raises where a GPU would make the host wait."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.__name__.partition(".")[0]
        assert not name.startswith(WAITING), f"{name} waits for the device"
        return function(*args, **kwargs or {})


@contextmanager
def no_waiting(monkeypatch):
    """On a GPU torch itself raises; on a CPU a stand-in does, which also sees `tolist` and `item`."""
    if torch.cuda.is_available():
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return

    def waits(*_):
        raise AssertionError("the host reads a tensor")

    with monkeypatch.context() as patch, NoWaiting():
        for name in ("tolist", "item", "numpy", "__bool__", "__int__", "__float__"):
            patch.setattr(torch.Tensor, name, waits)
        yield


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("model", [tiny_llama, tiny_nemotron_h])
def test_nothing_waits_between_the_launch_of_a_pack_and_its_answers(model, monkeypatch):
    ready = loaded(model().to(DEVICE))
    plan = plan_packs(REQUESTS, 24)
    first = [begin_run(ready, plan, run)() for run in plan.runs]  # compiles, and looks the attention up
    with no_waiting(monkeypatch):
        launched = [begin_run(ready, plan, run) for run in plan.runs]
    assert [answers() for answers in launched] == first
    assert len(launched) > 1


def test_the_stand_in_sees_a_wait(monkeypatch):
    if DEVICE == "cpu":
        with pytest.raises(AssertionError, match="waits"), no_waiting(monkeypatch):
            torch.arange(3).nonzero()
        with pytest.raises(AssertionError, match="reads"), no_waiting(monkeypatch):
            torch.arange(3).tolist()


@pytest.mark.parametrize("packed", [True, False])
def test_answers_are_the_same_and_in_the_same_order(packed, llama_files, monkeypatch):
    from evalsuite.engine.native.engine import TransformersEngine

    def answered():
        engine = TransformersEngine(llama_files, device="cpu", token_budget=24, packed=packed)
        return [*answers_of(engine.score(REQUESTS)).items()]

    one_by_one = answered()
    monkeypatch.setattr(scorer, "AHEAD", {"cpu": 1})
    assert answered() == one_by_one


def launching(order, room=9):
    """A `run` that notes launches and reads in `order`; batches larger than `room` run out of memory."""

    def run(batch):
        order.append(("launch", batch))
        if len(batch) > room:
            raise torch.OutOfMemoryError("CUDA out of memory.")

        def results():
            order.append(("read", batch))
            yield from batch

        return results()

    return run


def test_one_pass_is_launched_ahead_of_the_answers_that_are_read():
    order = []
    run = launching(order)
    assert list(run_within_memory([(1,), (2,), (3,)], run, len, lambda row, reason: row, ahead=1)) == [
        1,
        2,
        3,
    ]
    assert order == [
        ("launch", (1,)),
        ("launch", (2,)),
        ("read", (1,)),
        ("launch", (3,)),
        ("read", (2,)),
        ("read", (3,)),
    ]


def test_a_launch_that_runs_out_of_memory_loses_nothing_that_was_launched_before():
    order = []
    run = launching(order, room=1)
    found = list(run_within_memory([(1,), (2, 3), (4,)], run, len, lambda row, reason: -row, ahead=1))
    assert found == [1, 2, 3, 4]
    assert order.count(("launch", (1,))) == 1


def test_a_copy_to_the_host_arrives():
    assert transfer.begin_to_host(torch.arange(4, device=DEVICE))().tolist() == [0, 1, 2, 3]
