"""Llama-4's temperature goes by the positions of tokens, whatever shares a row with them."""

import pytest
import torch

from evalsuite.engine.native import score_packed
from evalsuite.engine.native.fit_trees import why_it_differs
from evalsuite.engine.native.slots import forward as slots_forward
from evalsuite.engine.native.slots.fit import fit_for_slots
from evalsuite.engine.native.temperature import layers_with_temperature, temperature_at
from evalsuite.engine.native.trials.fit import fit
from evalsuite.engine.native.trials.trials import BEYOND_ITS_LIMITS
from tests.engine.native.decoders import CHUNKED, DECODERS, decoder
from tests.engine.tiny import loaded, tiny_llama


def llama_4(**options: object) -> torch.nn.Module:
    return decoder("Llama4", **{**CHUNKED, **options})


def test_it_is_of_layers_without_rotary_embedding():
    model = llama_4()
    assert layers_with_temperature(model) == (model.model.layers[1].self_attn,)
    assert layers_with_temperature(llama_4(attn_temperature_tuning=False)) == ()
    assert layers_with_temperature(tiny_llama()) == ()


@torch.inference_mode()
def test_positions_as_in_the_row_change_nothing_and_others_do():
    model, ids = llama_4(), torch.arange(2, 32)[None]
    layers, usual = layers_with_temperature(model), model(input_ids=ids).logits
    for shift, same in ((0, True), (7, False)):
        with temperature_at(layers, torch.arange(30)[None] + shift):
            assert model(input_ids=ids).logits.equal(usual) == same
    assert model(input_ids=ids).logits.equal(usual)


@pytest.mark.parametrize("module", [score_packed, slots_forward])
def test_trials_notice_a_temperature_by_the_place_in_the_row(module, monkeypatch):
    ready = loaded(DECODERS["llama4, chunks and temperature"]())
    assert why_it_differs(ready) == ""
    assert fit_for_slots(ready)[1] == ""
    monkeypatch.setattr(module, "layers_with_temperature", lambda model: ())
    assert why_it_differs(ready) if module is score_packed else fit_for_slots(ready)[1]


def test_one_that_rises_far_beyond_a_trial_is_tried_on_a_tiny_copy(monkeypatch):
    ready = loaded(llama_4(floor_scale=8192, attention_chunk_size=8192, max_position_embeddings=32768))
    found = fit(ready, "", asked=False).forms
    assert (found.scores, found.texts, found.why_not_packed) == ("packed", "slots", "")
    monkeypatch.setattr(score_packed, "layers_with_temperature", lambda model: ())
    monkeypatch.setattr(slots_forward, "layers_with_temperature", lambda model: ())
    found = fit(ready, "", asked=False).forms
    assert (found.scores, found.texts) == ("batches", "batches of one length")
    assert found.why_not_packed.startswith(BEYOND_ITS_LIMITS)
