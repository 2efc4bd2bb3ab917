"""Guessed tokens: what is guessed from a text, and that no answer, count or window depends on guessing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.native.row import GrowingRows
from evalsuite.engine.native.slots.capacity import SlotCapacity
from evalsuite.engine.native.slots.fit import largest_difference
from evalsuite.engine.native.slots.forward import SlotModel
from evalsuite.engine.native.slots.generate import generate_in_slots
from evalsuite.engine.native.slots.prompt_lookup import CONTEXT_TOKENS, FIRST_GUESS, PromptLookup
from evalsuite.engine.planning.prefixes import plan_slots
from evalsuite.types import GenerateRequest
from tests.engine.native.slots.test_slots import QUESTIONS, SHOTS, each_once, fed_to, sampled
from tests.engine.native.test_generate_batch import Bytes, greedy
from tests.engine.tiny import greedy_alone, loaded, tiny_gpt2, tiny_llama, tiny_nemotron_h


def test_what_followed_the_last_tokens_before_is_guessed_to_follow_again():
    assert PromptLookup([1, 2, 3, 4, 5, 6, 7], [9, 2, 3]).guess(8) == [4, 5, 6]
    assert PromptLookup([1, 2, 3, 4, 5, 6, 7], [9, 2, 3]).guess(2) == [4, 5]
    assert PromptLookup([1, 2, 3, 4], [5, 6]).guess(8) == []
    assert PromptLookup([], [5]).guess(8) == []


def test_more_of_the_last_tokens_decide_before_fewer_and_the_latest_time_before_earlier_ones():
    long = [7, 8, 1, 2, 50, 9, 1, 2, 60, 7, 8]
    assert PromptLookup(long, [1, 2]).guess(1) == [50]
    assert PromptLookup([1, 2, 50, 1, 2, 60], [9, 1, 2]).guess(1) == [60]


def test_a_text_that_repeats_itself_is_read_on_into_the_guess():
    guesser = PromptLookup([], [4, 5, 6, 4, 5, 6])
    guesser.record_acceptance(5, 5)
    assert guesser.guess(8) == [4, 5, 6, 4, 5, 6, 4, 5]


def test_guesses_grow_where_they_are_right_and_shrink_where_they_are_not():
    guesser = PromptLookup([], [3] * 40)
    assert len(guesser.guess(100)) == FIRST_GUESS
    guesser.record_acceptance(FIRST_GUESS, FIRST_GUESS)
    assert len(guesser.guess(100)) == 2 * FIRST_GUESS + 1
    guesser.record_acceptance(7, 2)
    assert len(guesser.guess(100)) == 3
    guesser.record_acceptance(3, 0)
    assert len(guesser.guess(100)) == 1


@given(st.lists(st.integers(0, 3), max_size=40), st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_a_guess_is_what_a_search_of_the_whole_text_finds(context, answer):
    grown: list[int] = []
    guesser = PromptLookup(context, grown)
    for token in answer:
        grown.append(token)
        text = context + grown
        found = [
            at
            for count in CONTEXT_TOKENS
            for at in range(len(text) - 1, count - 1, -1)
            if text[at - count : at] == text[-count:]
        ]
        expected = [text[found[0]]] if found else []
        assert guesser.guess(1) == expected


def repeating_llama():
    """Its next token depends mostly on the last one, so that it soon goes in circles."""
    model = tiny_llama()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.mul_(0.03)
            layer.mlp.down_proj.weight.mul_(0.03)
    model.generation_config.eos_token_id = None
    return model


def answers_of(model, requests, room, checked, window=128):
    return answers_of_loaded(loaded(model), requests, room, checked, window)


def answers_of_loaded(ready, requests, room, checked, window):
    rows, prompts = GrowingRows(ready, Bytes(), window), plan_slots(requests)
    blocks = list(generate_in_slots(SlotModel.of(ready), rows, prompts, room, checked=checked))
    return dict(one for done in blocks for one in done.answers), sum(done.tokens for done in blocks)


@pytest.mark.parametrize(
    ("tiny", "room"),
    each_once(
        [tiny_llama, repeating_llama, tiny_gpt2],
        [SlotCapacity(1, 64), SlotCapacity(3, 64), SlotCapacity(64, 1000)],
    ),
)
def test_texts_and_counts_do_not_depend_on_guessing(tiny, room):
    model, window = tiny(), 64
    free = [greedy(SHOTS[:20] + question, 60) for question in QUESTIONS]
    texts, _ = answers_of(model, free, room, 0, window)
    stopping = [greedy(one.context, 50, stop=(texts[one].text[5:7],)) for one in free[2:]]
    requests = [*free, *stopping, *(sampled((*SHOTS[:20], 7), n, count=6 + n) for n in range(5))]
    plain = answers_of(model, requests, room, 0, window)
    assert [answers_of(model, requests, room, checked, window) for checked in (4, 24, 500)] == [plain] * 3


def test_guesses_save_passes_and_change_no_text(monkeypatch):
    model = repeating_llama()
    request = GenerateRequest(SHOTS[:8] * 2, (), 100)
    alone = Bytes().decode(greedy_alone(model, request.context, 100))
    ready = loaded(model)
    seen = fed_to(model, monkeypatch)
    passes = []
    for checked in (0, 24):
        seen.clear()
        answers, tokens = answers_of_loaded(ready, [request], SlotCapacity(1, 64), checked, 128)
        assert tokens == 16 + 99
        assert answers[request].text == alone
        passes.append(len(seen))
    assert passes[1] < passes[0] / 2


def test_no_guess_goes_beyond_the_context_window():
    """GPT-2 has no positions there."""
    model = tiny_gpt2()
    model.generation_config.eos_token_id = None
    ready, tokenizer = loaded(model), Bytes()
    tokenizer.eos_id = None
    requests = [greedy((30, 31) * 4 + (at,), 500) for at in range(2)] + [greedy((9,) * 60, 500)]
    work = generate_in_slots(
        SlotModel.of(ready),
        GrowingRows(ready, tokenizer, 64),
        plan_slots(requests),
        SlotCapacity(4, 100),
        checked=500,
    )
    answers = dict(one for done in work for one in done.answers)
    assert [answers[one].tokens for one in requests] == [55, 55, 4]


def test_a_recurrent_model_is_not_asked_to_take_tokens_back():
    assert not SlotModel.of(loaded(tiny_nemotron_h())).forgets
    assert SlotModel.of(loaded(tiny_llama())).forgets


def test_the_trial_of_a_model_checks_a_guess_too(monkeypatch):
    model = SlotModel.of(loaded(tiny_llama()))
    assert largest_difference(model) < 1e-4
    from evalsuite.engine.native.slots.forward import Slots

    check = Slots.check
    monkeypatch.setattr(Slots, "check", lambda self, tokens: check(self, tokens).roll(1, dims=1))
    assert largest_difference(model) > 0.1
