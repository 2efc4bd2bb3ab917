"""Packs and texts over two pretended GPUs: whatever a layer needs is on the layer's own device."""

from dataclasses import replace

import pytest
import torch

from evalsuite.engine.native.loading.load import ready
from evalsuite.engine.native.models import support_for
from evalsuite.engine.native.paths import fastest
from evalsuite.engine.native.row import GrowingRows
from evalsuite.engine.native.score_packed import begin_run
from evalsuite.engine.native.slots.capacity import SlotCapacity
from evalsuite.engine.native.slots.forward import SlotModel
from evalsuite.engine.native.slots.generate import generate_in_slots
from evalsuite.engine.planning.plan import plan_packs
from evalsuite.engine.planning.prefixes import plan_slots
from tests.engine.native.dry_run.device import DEVICE, on_device, pretended_gpu
from tests.engine.native.dry_run.engines import endings, model_on_meta, problems, warm_up
from tests.engine.native.dry_run.spread import FIRST, SECOND, spread
from tests.engine.native.dry_run.test_generation import WAITS
from tests.engine.native.facts import FACTS, few_layers
from tests.engine.native.test_generate_batch import Bytes


def scored(facts, **paths):
    built = model_on_meta(facts)
    with pretended_gpu() as watch:
        model = spread(on_device(built))
        notes = support_for(model.config.model_type).patch(model)
        used = replace(fastest(DEVICE, "bfloat16"), **paths)
        loaded = replace(ready(model, DEVICE, notes), paths=used)
        assert {str(part.device) for part in model.parameters()} == {FIRST, SECOND}
        requests = endings(6)
        plan = plan_packs(requests, 2**14)
        warm_up(loaded)
        watch.begin()
        assert len(begin_run(loaded, plan, plan.runs[0])()) == len(requests)
        assert dict(watch.waits) == {"transfer.py arrived": 1}


def test_mixed_devices_are_seen():
    with pretended_gpu(), pytest.raises(RuntimeError, match=r"two.* devices"):
        torch.empty(3, device=FIRST) + torch.empty(3, device=SECOND)


def test_a_pack_of_a_hybrid_over_two_gpus():
    hybrid = few_layers("8B hybrid")
    scored(replace(hybrid, config={**hybrid.config, "hybrid_override_pattern": "M-*M-*"}))


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["levels", "levels-flex", "flex", "torch"])
@pytest.mark.parametrize("name", ["32B dense", "12B windows", "47B hybrid", "56B hybrid"])
def test_a_pack_of_a_whole_model_over_two_gpus(name, attention):
    scored(FACTS[name], attention=attention)


@pytest.mark.slow
def test_texts_of_a_hybrid_over_two_gpus():
    hybrid = few_layers("8B hybrid")
    written(replace(hybrid, config={**hybrid.config, "hybrid_override_pattern": "M-*M-*"}))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["32B dense", "12B windows"])
def test_texts_over_two_gpus(name):
    written(few_layers(name, 4))


def written(facts):
    built = model_on_meta(facts)
    with pretended_gpu() as watch:
        model = spread(on_device(built))
        notes = support_for(model.config.model_type).patch(model)
        loaded = replace(ready(model, DEVICE, notes), paths=fastest(DEVICE, "bfloat16"))
        slots = SlotModel.of(loaded)
        warm_up(loaded)
        watch.begin()
        prompts = plan_slots(problems(10, (3, 9)))
        rows = GrowingRows(loaded, Bytes(), 8192)
        done = [*generate_in_slots(slots, rows, prompts, SlotCapacity(4, 4096))]
        assert sum(len(one.answers) for one in done) == 10
        assert set(watch.waits) <= set(WAITS)
