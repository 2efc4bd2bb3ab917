"""Texts of the backend `lm_eval_hf` are those of transformers' own `generate`, whatever
generation_config.json asks for."""

import pytest
import torch

from evalsuite.engine.native.generate_batch import generate_batch
from evalsuite.engine.native.row import GrowingRows
from evalsuite.engine.native.slots.capacity import SlotCapacity
from evalsuite.engine.native.slots.forward import SlotModel
from evalsuite.engine.native.slots.generate import generate_in_slots
from evalsuite.engine.planning.prefixes import plan_slots
from evalsuite.types import GenerateRequest
from tests.engine.native.test_generate_batch import PROMPTS, Bytes
from tests.engine.tiny import EOS, loaded, tiny_llama

CONFIGS = [
    {},
    {"repetition_penalty": 1.5},
    {"encoder_repetition_penalty": 0.7, "encoder_no_repeat_ngram_size": 2},
    {"no_repeat_ngram_size": 2},
    {"suppress_tokens": list(range(100, 200)), "begin_suppress_tokens": list(range(60, 90))},
    {"bad_words_ids": [[n] for n in range(30, 90)] + [[n, n + 1] for n in range(100, 200)]},
    {"sequence_bias": [[[n], 5.0] for n in range(120, 130)]},
    {"forced_eos_token_id": EOS},
    {"min_new_tokens": 7, "eos_token_id": list(range(200))},
    {"min_length": 9, "eos_token_id": list(range(200))},
    {"exponential_decay_length_penalty": [3, 1.4]},
    {"max_new_tokens": 5},
    {"num_beams": 1, "temperature": 0.6, "top_k": 20, "do_sample": True},
]
COUNT = 12


def model_asking(config):
    model = tiny_llama()
    for name, value in config.items():
        setattr(model.generation_config, name, value)
    return model


def their_text(model, context):
    ids = torch.tensor([context])
    options = {"attention_mask": torch.ones_like(ids), "pad_token_id": 0, "do_sample": False}
    found = model.generate(ids, max_length=len(context) + COUNT, **options)
    return Bytes().decode(found[0, len(context) :].tolist())


def in_slots(ready, requests, steps=4):
    work = generate_in_slots(
        SlotModel.of(ready),
        GrowingRows(ready, Bytes(), 128),
        plan_slots(requests),
        SlotCapacity(3, 64),
        steps=steps,
    )
    return dict(one for done in work for one in done.answers)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: ",".join(config) or "none")
def test_texts_are_those_of_generate_in_slots_and_in_batches(config):
    model = model_asking(config)
    requests = [GenerateRequest(prompt, (), COUNT, backend="lm_eval_hf") for prompt in PROMPTS]
    expected = {one: their_text(model, one.context) for one in requests}
    ready = loaded(model)
    assert {one: answer.text for one, answer in in_slots(ready, requests).items()} == expected
    batch = dict(one for block in generate_batch(ready, Bytes(), 128, requests) for one in block)
    assert {one: answer.text for one, answer in batch.items()} == expected


def test_other_backends_do_not_follow_the_file_and_share_slots_with_those_that_do():
    model = model_asking({"repetition_penalty": 1.5, "max_new_tokens": 5})
    theirs = [GenerateRequest(prompt, (), COUNT, backend="lm_eval_hf") for prompt in PROMPTS]
    own = [GenerateRequest(prompt, (), COUNT) for prompt in PROMPTS]
    together = in_slots(loaded(model), [*own, *theirs])
    plain = in_slots(loaded(tiny_llama()), own)
    assert {one: together[one] for one in own} == plain
    assert {one: together[one].text for one in theirs} == {
        one: their_text(model, one.context) for one in theirs
    }


def test_a_sample_is_drawn_from_the_most_probable_tokens_that_the_file_names():
    model = model_asking({"top_k": 1})
    drawn = [GenerateRequest(PROMPTS[0], (), COUNT, 5.0, 1.0, 0, n, "lm_eval_hf") for n in range(3)]
    assert {one.text for one in in_slots(loaded(model), drawn).values()} == {their_text(model, PROMPTS[0])}
