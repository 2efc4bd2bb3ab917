"""Generation with slots: order, stops, samples, counts and memory, on a tiny Llama."""

import pytest
import torch

from evalsuite.engine.native.row import GrowingRows
from evalsuite.engine.native.slots import reserved
from evalsuite.engine.native.slots.attention import LARGEST_SCORES
from evalsuite.engine.native.slots.cache import SlotCache
from evalsuite.engine.native.slots.capacity import SlotCapacity
from evalsuite.engine.native.slots.forward import SlotModel, Slots, pieces
from evalsuite.engine.native.slots.generate import LARGEST_PADDING, generate_in_slots
from evalsuite.engine.planning.prefixes import plan_slots, prefill_tokens
from evalsuite.types import Failure, Generated, GenerateRequest
from tests.engine.native.test_generate_batch import Bytes, greedy, until_end
from tests.engine.tiny import EOS, greedy_alone, loaded, tiny_gpt2, tiny_llama

SHOTS = tuple(range(50, 90))
QUESTIONS = [(5, 6, 7), (20,), (31, 32), (40, 41, 42, 43), (9, 8), (77, 3, 4, 5, 6)]
ROOM = SlotCapacity(slots=3, tokens=64)


def blocks_of(model, requests, room=ROOM, window=128, answered=()):
    ready = loaded(model)
    rows, prompts = GrowingRows(ready, Bytes(), window), plan_slots(requests, answered)
    return list(generate_in_slots(SlotModel.of(ready), rows, prompts, room))


def answers_of(model, requests, room=ROOM, window=128):
    done = [one for block in blocks_of(model, requests, room, window) for one in block.answers]
    assert len(done) == len(requests)
    return dict(done)


def each_once(some, others):
    """All pairs, of which the everyday suite takes those of the same place: each value of either once."""
    return [
        pytest.param(one, other, marks=[] if row == column else pytest.mark.slow)
        for row, one in enumerate(some)
        for column, other in enumerate(others)
    ]


def sampled(context, sample, count=10):
    return GenerateRequest(context, (), count, 1.0, 0.95, 0, sample)


def test_a_stop_string_ends_its_own_row_and_the_slot_is_taken_by_the_next():
    model = tiny_llama()
    free = [greedy(SHOTS + question) for question in QUESTIONS]
    texts = answers_of(model, free)
    stops = {one: texts[one].text[3:5] for one in free[::2]}
    stopping = [greedy(one.context, stop=("never", stops[one])) if one in stops else one for one in free]
    answers = answers_of(model, stopping)
    for before, after in zip(free, stopping, strict=True):
        text = texts[before].text
        if before in stops:
            assert answers[after].text == text[: text.index(stops[before])]
            assert answers[after].finish == "stop"
            assert answers[after].tokens < texts[before].tokens
        else:
            assert answers[after] == texts[before]


@pytest.mark.parametrize(("steps", "checked"), [(1, 0), (4, 0), (1, 24), (4, 24)])
def test_a_text_whose_logits_become_infinite_on_the_way_fails_and_the_others_are_as_they_were(steps, checked):
    """A token that the first text says on its way makes the next logits infinite."""
    model = tiny_llama()
    model.generation_config.eos_token_id = None
    requests = [greedy(SHOTS + question) for question in QUESTIONS]
    said = {one: greedy_alone(model, one.context, 12) for one in requests}
    asked = {token for one in requests for token in one.context}
    ill = next(token for token in said[requests[0]][1:] if token not in asked)
    with torch.no_grad():
        model.model.embed_tokens.weight[ill] = torch.inf
    ready = loaded(model)
    work = generate_in_slots(
        SlotModel.of(ready),
        GrowingRows(ready, Bytes(), 128),
        plan_slots(requests),
        ROOM,
        steps=steps,
        checked=checked,
    )
    answers = dict(one for done in work for one in done.answers)
    assert len(answers) == len(requests)
    for request, answer in answers.items():
        if ill in until_end(said[request])[:-1]:
            assert isinstance(answer, Failure)
            assert f"token {said[request].index(ill) + 2} of the text" in answer.reason
        else:
            assert answer.text == Bytes().decode(until_end(said[request]))


def test_the_end_token_ends_a_row():
    model = tiny_llama()
    with torch.no_grad():
        model.lm_head.weight.zero_()
    model.generation_config.eos_token_id = [0, EOS]
    answers = answers_of(model, [greedy(question) for question in QUESTIONS])
    assert set(answers.values()) == {Generated("", 1, "eos")}


def test_max_tokens_and_the_context_window_are_told_apart():
    model = tiny_gpt2()
    model.generation_config.eos_token_id = None
    tokenizer = Bytes()
    tokenizer.eos_id = None
    ready = loaded(model)
    requests = [
        greedy((*SHOTS, 5), 3),
        greedy((*SHOTS, 5), 500),
        greedy((*SHOTS, 6, 7), 500),
        greedy((30,), 500),
    ]
    work = generate_in_slots(
        SlotModel.of(ready), GrowingRows(ready, tokenizer, 64), plan_slots(requests), ROOM
    )
    answers = dict(one for done in work for one in done.answers)
    assert [(answers[one].tokens, answers[one].finish) for one in requests] == [
        (3, "length"),
        (23, "window"),
        (22, "window"),
        (63, "window"),
    ]
    alone = greedy_alone(model, requests[1].context, 23)
    assert answers[requests[1]].text == Bytes().decode(alone)


@pytest.mark.parametrize(
    "room", [SlotCapacity(1, 1), SlotCapacity(2, 1000), SlotCapacity(5, 12), SlotCapacity(64, 1000)]
)
def test_samples_depend_neither_on_the_room_nor_on_their_neighbours(room):
    model = tiny_llama()
    requests = [sampled(SHOTS + question, n) for question in QUESTIONS[:3] for n in range(4)]
    answers = answers_of(model, requests, room)
    assert answers == {one: answers_of(model, [one])[one] for one in requests}
    assert len({answer.text for answer in answers.values()}) > 8


@pytest.mark.parametrize(
    ("room", "steps"),
    each_once([SlotCapacity(1, 64), SlotCapacity(3, 64), SlotCapacity(64, 1000)], [4, 2, 8]),
)
def test_texts_and_counts_do_not_depend_on_how_often_stops_are_looked_for(room, steps):
    model = tiny_llama()
    free = [
        greedy(SHOTS + question, count)
        for question, count in zip(QUESTIONS, (1, 2, 5, 9, 17, 500), strict=True)
    ]
    texts = answers_of(model, free)
    stopping = [greedy(one.context, 40, stop=(texts[one].text[1:3],)) for one in free[2:]]
    requests = [*free, *stopping, *(sampled((*SHOTS, 7), n, count=6 + n) for n in range(5))]
    ready = loaded(model)

    def blocks(steps):
        rows, prompts = GrowingRows(ready, Bytes(), 128), plan_slots(requests)
        return list(generate_in_slots(SlotModel.of(ready), rows, prompts, room, steps=steps))

    every, some = blocks(1), blocks(steps)
    assert dict(one for done in some for one in done.answers) == dict(
        one for done in every for one in done.answers
    )
    assert sum(done.tokens for done in some) == sum(done.tokens for done in every)


def test_no_step_goes_beyond_the_context_window():
    """GPT-2 has no positions there."""
    model = tiny_gpt2()
    model.generation_config.eos_token_id = None
    requests = [greedy((30, 31, 32, at), 500) for at in range(3)] + [greedy((9,) * 60, 500)]
    ready, tokenizer = loaded(model), Bytes()
    tokenizer.eos_id = None
    rows = GrowingRows(ready, tokenizer, 64)
    work = generate_in_slots(SlotModel.of(ready), rows, plan_slots(requests), SlotCapacity(4, 100), steps=8)
    answers = dict(one for done in work for one in done.answers)
    assert [answers[one].tokens for one in requests] == [60, 60, 60, 4]


def fed_to(model, monkeypatch):
    """Counts positions that the model sees, padding included."""
    seen = []
    original = model.forward

    def forward(*args, **kwargs):
        seen.append(kwargs["input_ids"].numel())
        return original(*args, **kwargs)

    monkeypatch.setattr(model, "forward", forward)
    return seen


def test_a_prefix_is_computed_once_and_all_tokens_are_counted(monkeypatch):
    model = tiny_llama()
    ready = loaded(model)
    slot_model = SlotModel.of(ready)
    requests = [greedy(SHOTS + question) for question in QUESTIONS]
    prompts = plan_slots(requests)
    seen = fed_to(model, monkeypatch)
    done = list(generate_in_slots(slot_model, GrowingRows(ready, Bytes(), 128), prompts, SlotCapacity(1, 64)))
    fed = sum(block.tokens for block in done)
    assert fed == sum(seen), "one slot: nothing is padded"
    decoded = sum(answer.tokens - 1 for block in done for _, answer in block.answers)
    assert fed - decoded == prefill_tokens(prompts) == len(SHOTS) + sum(map(len, QUESTIONS))


def test_prompts_of_very_unequal_length_are_not_padded_to_one_another(monkeypatch):
    lengths = [100, 95, 90, 50, 45, 40, 12, 11, 3]
    model = tiny_llama()
    ready = loaded(model)
    slot_model = SlotModel.of(ready)
    prompts = plan_slots([greedy((length,) * length, 1) for length in lengths])
    seen = fed_to(model, monkeypatch)
    done = list(
        generate_in_slots(slot_model, GrowingRows(ready, Bytes(), 128), prompts, SlotCapacity(16, 1000))
    )
    assert len(seen) == 3
    assert sum(seen) < LARGEST_PADDING * sum(block.tokens for block in done)


def test_samples_of_a_prompt_share_its_pass():
    requests = [sampled(QUESTIONS[5], n) for n in range(4)]
    blocks = blocks_of(tiny_llama(), requests, SlotCapacity(4, 64))
    decoded = sum(answer.tokens - 1 for block in blocks for _, answer in block.answers)
    assert sum(block.tokens for block in blocks) - decoded == len(QUESTIONS[5])


def test_answers_come_as_rows_finish_and_answered_requests_are_left_out():
    requests = [greedy(PROMPT, count) for PROMPT, count in zip(QUESTIONS, [2, 6, 9, 4, 3, 5], strict=True)]
    blocks = blocks_of(tiny_llama(), requests, SlotCapacity(6, 64), answered=requests[:2])
    assert sum(len(block.answers) for block in blocks) == 4
    assert len(blocks) >= 3


class Full:
    """Raises out-of-memory where a pass over slots has more than `rows` rows."""

    def __init__(self, monkeypatch, rows, kind="decode"):
        self.raised = 0
        original = getattr(Slots, kind)

        def limited(slots, *args):
            if len(slots) + (len(args[1]) if kind == "prefill" else 0) > rows:
                self.raised += 1
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")
            return original(slots, *args)

        monkeypatch.setattr(Slots, kind, limited)


@pytest.mark.usefixtures("quick_collections")
@pytest.mark.parametrize("kind", ["decode", "prefill"])
def test_out_of_memory_halves_the_slots_and_loses_nothing(monkeypatch, kind):
    model = tiny_llama()
    requests = [greedy(SHOTS + question, 4 + len(question)) for question in QUESTIONS]
    requests += [sampled(SHOTS + QUESTIONS[0], n) for n in range(5)]
    whole = answers_of(model, requests)
    full = Full(monkeypatch, 2, kind)
    assert answers_of(model, requests, SlotCapacity(8, 64)) == whole
    assert full.raised == 2, "8 slots, then 4, then 2"


@pytest.mark.usefixtures("quick_collections")
def test_what_was_answered_before_memory_ran_out_is_not_answered_again(monkeypatch):
    requests = [
        greedy(question, count) for question, count in zip(QUESTIONS, [2, 3, 9, 9, 9, 9], strict=True)
    ]
    model = tiny_llama()
    whole = answers_of(model, requests)
    original, steps = Slots.decode, []

    def decode(slots, tokens):
        steps.append(len(tokens))
        if len(steps) == 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(slots, tokens)

    monkeypatch.setattr(Slots, "decode", decode)
    assert answers_of(model, requests, SlotCapacity(6, 64)) == whole


@pytest.mark.usefixtures("quick_collections")
def test_slots_whose_memory_cannot_be_reserved_are_halved(monkeypatch):
    model, original, counts = tiny_llama(), SlotCache.reserve, []
    requests = [greedy(SHOTS + question, 4 + len(question)) for question in QUESTIONS]
    whole = answers_of(model, requests)

    def reserve(cache, tokens):
        if tokens and not cache.room:
            counts.append(cache.slots)
            if cache.slots > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")
        original(cache, tokens)

    monkeypatch.setattr(SlotCache, "reserve", reserve)
    monkeypatch.setattr(reserved, "RESERVING", ("cpu",))
    assert answers_of(model, requests, SlotCapacity(8, 64)) == whole
    assert counts == [8, 4, 2]


@pytest.mark.usefixtures("quick_collections")
def test_only_what_does_not_fit_alone_fails(monkeypatch):
    original = Slots.prefill

    def prefill(slots, prefix, prompts):
        if any(len(prompt) > 4 for prompt in prompts):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(slots, prefix, prompts)

    requests = [greedy(question) for question in QUESTIONS]
    model = tiny_llama()
    whole = answers_of(model, requests)
    monkeypatch.setattr(Slots, "prefill", prefill)
    answers = answers_of(model, requests)
    assert answers.pop(requests[5]) == Failure("out of memory: CUDA out of memory.")
    assert answers == {one: whole[one] for one in requests[:5]}


def test_other_errors_are_not_swallowed(monkeypatch):
    def decode(slots, tokens):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(Slots, "decode", decode)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        blocks_of(tiny_llama(), [greedy(QUESTIONS[0])])


def test_rows_that_leave_are_replaced_by_the_last_ones():
    slots = Slots(SlotModel.of(loaded(tiny_llama())), 5)
    with torch.inference_mode():
        slots.prefill(slots.model.prefix(()), [(9,) * n for n in (5, 4, 3, 2, 1)])
        assert slots.keep([1, 3, 4]) == [3, 1, 4]
        assert (len(slots), slots.free) == (3, 2)
        assert slots.keep([]) == []


def test_prompts_of_falling_length_are_cut_where_one_ends_unless_they_are_padded():
    assert pieces([7, 4, 4, 1], padded=True) == [(4, 0, 7)]
    assert pieces([7, 4, 4, 1], padded=False) == [(4, 0, 1), (3, 1, 4), (1, 4, 7)]


def test_attention_worked_on_in_parts_is_the_same(monkeypatch):
    requests = [greedy(SHOTS + question) for question in QUESTIONS]
    whole = answers_of(tiny_llama(), requests)
    monkeypatch.setitem(LARGEST_SCORES, "cpu", 1000)
    assert answers_of(tiny_llama(), requests) == whole


def test_greedy_text_is_that_of_a_full_pass_per_token():
    model = tiny_llama()
    for request, answer in answers_of(model, [greedy(SHOTS + question) for question in QUESTIONS]).items():
        assert answer.text == Bytes().decode(until_end(greedy_alone(model, request.context, 12)))
