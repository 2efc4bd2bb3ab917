"""CUDA graphs themselves, which only a GPU can record; and what can be said of them without one."""

import inspect

import pytest
import torch

from evalsuite.engine.native.differences import allowed_difference
from evalsuite.engine.native.loading.load import ready
from evalsuite.engine.native.row import GrowingRows
from evalsuite.engine.native.slots.capacity import SlotCapacity
from evalsuite.engine.native.slots.cuda_graphs import CudaRecorder
from evalsuite.engine.native.slots.forward import SlotModel, Slots
from evalsuite.engine.native.slots.generate import generate_in_slots
from evalsuite.engine.native.slots.graphs import WANTED, Graphing
from evalsuite.engine.planning.prefixes import plan_slots
from tests.engine.native.decoders import DECODERS
from tests.engine.native.slots.test_models import HYBRIDS
from tests.engine.native.slots.test_slots import QUESTIONS, SHOTS
from tests.engine.native.test_generate_batch import Bytes, greedy

MODELS = {**DECODERS, **HYBRIDS}
EXPERTS = {"mixtral", "qwen2_moe", "gpt_oss, sinks and window"}
"""Their products by expert may wait for the GPU, in float32 at least; then they are refused."""
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def test_torch_takes_what_it_is_given():
    taken = inspect.signature(torch.cuda.graph).parameters
    assert {"cuda_graph", "pool", "stream", "capture_error_mode"} <= taken.keys()
    assert hasattr(torch.cuda.CUDAGraph, "replay")
    assert hasattr(torch.cuda.CUDAGraph, "pool")
    assert callable(torch.cuda.set_sync_debug_mode)


def use_of(model):
    return Graphing(CudaRecorder("cuda"), allowed_difference(model.dtype))


@on_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", MODELS)
def test_replayed_steps_give_the_logits_of_plain_ones(name, dtype):
    loaded = ready(MODELS[name]().to("cuda", dtype), "cuda")
    use = use_of(loaded.model)
    replayed, plain = (Slots(SlotModel.of(loaded), 8, one) for one in (use, None))
    with torch.inference_mode():
        for slots in (replayed, plain):
            slots.prefill(slots.model.prefix(SHOTS[:9]), [(9, 8, 7), *[(6, 5)] * 4, (4,)])
        for at in range(WANTED + 20):
            tokens = (torch.arange(len(plain), device="cuda") * 7 + at) % 97
            expected = plain.decode(tokens)
            found = replayed.decode(tokens)
            off = (found - expected).norm(dim=-1) / expected.std(dim=-1) / expected.shape[-1] ** 0.5
            assert off.max() <= use.allowed
            if at in (10, 15):
                for slots in (replayed, plain):
                    slots.keep(range(1, len(slots)))
    assert use.replayed > 10 or (name in EXPERTS and use.refused)
    assert use.refused == "" or name in EXPERTS


@on_gpu
@pytest.mark.parametrize("name", MODELS)
def test_texts_are_the_same_with_graphs_and_without(name):
    loaded = ready(MODELS[name]().to("cuda"), "cuda")
    requests = [greedy((*SHOTS[:9], *question), 20 + 2 * at) for at, question in enumerate(QUESTIONS * 2)]

    def texts(use):
        rows = GrowingRows(loaded, Bytes(), 64)
        work = generate_in_slots(
            SlotModel.of(loaded), rows, plan_slots(requests), SlotCapacity(5, 64), graphing=use
        )
        return dict(one for done in work for one in done.answers)

    use = use_of(loaded.model)
    assert texts(use) == texts(None)
    assert use.replayed or (name in EXPERTS and use.refused)
    assert use.refused == "" or name in EXPERTS


@on_gpu
def test_a_step_that_waits_for_the_gpu_is_refused_before_it_is_recorded(monkeypatch):
    from evalsuite.engine.native.slots import forward

    loaded = ready(MODELS["llama"]().to("cuda"), "cuda")
    run = forward._run_step

    def waiting(model, cache, step):
        return run(model, cache, step) + step.starts.sum().item() * 0

    monkeypatch.setattr(forward, "_run_step", waiting)
    use = use_of(loaded.model)
    slots = Slots(SlotModel.of(loaded), 2, use)
    with torch.inference_mode():
        slots.prefill(slots.model.prefix(SHOTS[:9]), [(9, 8), (7,)])
        for _ in range(WANTED + 3):
            assert slots.decode(torch.tensor([5, 6], device="cuda")).isfinite().all()
    assert "synchroniz" in use.refused
    torch.cuda.empty_cache()
