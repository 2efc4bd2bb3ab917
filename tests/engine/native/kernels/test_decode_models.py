"""Tiny hybrids in slots whose decode steps use the kernels, against plain passes and transformers' code."""

from dataclasses import replace

import pytest
import torch

from evalsuite.engine.native.differences import allowed_difference
from evalsuite.engine.native.loading.load import ready
from evalsuite.engine.native.paths import PLAIN
from evalsuite.engine.native.slots import steps
from evalsuite.engine.native.slots.capacity import SlotCapacity
from evalsuite.engine.native.slots.fit import MORE, fit_for_slots, largest_difference
from evalsuite.engine.native.slots.forward import SlotModel
from tests.engine.native.hybrids import HYBRIDS
from tests.engine.native.kernels.where import DEVICE, INTERPRETED
from tests.engine.native.slots.recording import graphing
from tests.engine.native.slots.test_graphs import answers_of
from tests.engine.native.slots.test_models import tiny_granite_hybrid
from tests.engine.native.slots.test_slots import QUESTIONS, SHOTS
from tests.engine.native.test_generate_batch import greedy

FAMILIES = [
    "nemotron_h",
    "nemotron_h, experts",
    "mamba2",
    "bamba",
    "falcon_h1, no norm",
    "falcon_h1, gate beside the norm",
    "granitemoehybrid",
    "zamba2",
]
OF_SPREAD = 1e-6 if INTERPRETED else 1e-3
"""On a GPU torch multiplies float32 in ways of its own."""


HALF = ["granitemoehybrid, no experts" if name == "granitemoehybrid" else name for name in FAMILIES]
"""In half precision, rounding makes Granite's experts others, also with transformers' own steps."""
MODELS = HYBRIDS | {"granitemoehybrid, no experts": lambda: tiny_granite_hybrid().eval()}


def by(path, name, dtype=torch.float32):
    loaded = ready(MODELS[name]().to(DEVICE, dtype), DEVICE)
    return replace(loaded, paths=PLAIN.using("steps", path))


@pytest.fixture
def launches(monkeypatch) -> list[str]:
    """Which kernels ran, and that no function of transformers did."""
    found = []

    def counting(name, factory):
        def make(original):
            def forbidden(*args, **options):
                raise AssertionError("torch computed what a kernel should have")

            replacement = factory(forbidden)

            def counted(*args, **options):
                found.append(name)
                return replacement(*args, **options)

            return counted

        return make

    for name in ("_conv_by_kernel", "_state_by_kernel"):
        monkeypatch.setattr(steps, name, counting(name, getattr(steps, name)))
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_steps_are_those_of_passes_without_a_cache(name, launches):
    model = SlotModel.of(by("kernels", name))
    own = largest_difference(
        SlotModel.of(by("model", name))
    )  # a digit more for Zamba2, whose steps have a floor
    assert largest_difference(model) <= own + OF_SPREAD
    of_each = [launches.count(kernel) for kernel in ("_conv_by_kernel", "_state_by_kernel")]
    assert of_each == [(1 + MORE) * len(model.mixers)] * 2


@pytest.mark.parametrize("name", HALF)
def test_half_precision_is_as_near_as_with_the_models_own_steps(name, launches):
    model = SlotModel.of(by("kernels", name, torch.bfloat16))
    kept = [getattr(layer, "recurrent_states", {}) for layer in model.like.layers]
    states = [state for by_index in kept for state in by_index.values() if state is not None]
    assert {state.dtype for state in states} == {torch.float32}
    own = largest_difference(SlotModel.of(by("model", name, torch.bfloat16)))
    assert largest_difference(model) < min(allowed_difference(torch.bfloat16), 1.5 * own + 0.01)
    assert launches


@pytest.mark.usefixtures("launches")
def test_half_precision_passes_the_trial():
    assert fit_for_slots(by("kernels", "nemotron_h", torch.bfloat16))[1] == ""


@pytest.mark.parametrize(("name", "graphs"), [("nemotron_h", graphing), ("falcon_h1, no norm", None)])
def test_texts_are_those_of_the_models_own_code(name, graphs, launches):
    requests = [greedy((*SHOTS[:9], *question), 9 + at) for at, question in enumerate(QUESTIONS[:3])]
    room, use = SlotCapacity(2, 64), graphs and graphs()
    assert answers_of(by("kernels", name), requests, room, use) == answers_of(
        by("model", name), requests, room
    )
    assert launches
    assert use is None or (use.replayed and not use.refused)
