"""Recorded steps: no text depends on them, and what is wrong with them is found before they are used."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.native.row import GrowingRows
from evalsuite.engine.native.slots import graphs, reserved
from evalsuite.engine.native.slots.cache import SlotLayer
from evalsuite.engine.native.slots.capacity import SlotCapacity
from evalsuite.engine.native.slots.forward import SlotModel, Slots
from evalsuite.engine.native.slots.generate import generate_in_slots
from evalsuite.engine.native.slots.graphs import WANTED, WANTED_BESIDE_LARGER, padded_read, padded_rows
from evalsuite.engine.native.slots.reserved import Reserved
from evalsuite.engine.planning.prefixes import plan_slots
from tests.draws import draws
from tests.engine.native.slots.recording import RunAgain, graphing
from tests.engine.native.slots.test_models import patched_nemotron_h
from tests.engine.native.slots.test_prompt_lookup import repeating_llama
from tests.engine.native.slots.test_slots import QUESTIONS, SHOTS, Full, each_once, sampled
from tests.engine.native.test_generate_batch import Bytes, greedy
from tests.engine.tiny import loaded, tiny_gpt2, tiny_hybrids, tiny_llama

OTHER_SHOTS = tuple(range(120, 160))


def answers_of(ready, requests, room, graphing=None, window=2**40, checked=0, steps=None):
    """Texts and counts; beyond a model's window where it has no learned positions."""
    tokenizer = Bytes()
    tokenizer.eos_id = None
    ready.model.generation_config.eos_token_id = None
    work = generate_in_slots(
        SlotModel.of(ready),
        GrowingRows(ready, tokenizer, window),
        plan_slots(requests),
        room,
        steps=steps,
        checked=checked,
        graphing=graphing,
    )
    blocks = list(work)
    answers = dict(one for done in blocks for one in done.answers)
    assert len(answers) == len(requests)
    return answers, sum(done.tokens for done in blocks)


MODELS = {
    "llama": tiny_llama,
    "gpt2": tiny_gpt2,
    "nemotron_h": patched_nemotron_h,
    **{name: lambda name=name: tiny_hybrids()[name].eval() for name in ("gemma3", "mamba2", "bamba")},
}


@pytest.fixture(scope="module", params=MODELS)
def ready(request):
    return loaded(MODELS[request.param]())


def test_sizes_of_the_read_pool_are_two_for_each_power_of_two():
    sizes = sorted({padded_read(tokens) for tokens in range(4000)})
    assert sizes == [0, *(128 * units for units in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32))]
    assert all(tokens <= padded_read(tokens) <= tokens * 1.5 + 128 for tokens in range(4000))


def test_sizes_of_steps_are_two_for_each_power_of_two_and_then_every_eighth():
    sizes = [padded_rows(rows) for rows in range(1, 130)]
    assert sorted(set(sizes)) == [1, 2, 3, 4, 6, 8, 12, 16, *range(24, 137, 8)]
    assert all(rows <= size <= rows * 1.5 for rows, size in enumerate(sizes, start=1))


def test_texts_are_the_same_while_rows_come_and_go_and_prefixes_change(ready):
    window = 64 if ready.model.config.model_type == "gpt2" else 1000
    requests = [
        *(greedy((*SHOTS[:9], *question), 12 + 3 * at) for at, question in enumerate(QUESTIONS)),
        *(greedy((*OTHER_SHOTS[:9], *question, 8), 9 + at) for at, question in enumerate(QUESTIONS)),
        *(sampled((*SHOTS[:9], 7), n, count=9 + n) for n in range(5)),
    ]
    for room in (SlotCapacity(2, 64), SlotCapacity(7, 100)):
        use = graphing()
        plain = answers_of(ready, requests, room, None, window)
        assert answers_of(ready, requests, room, use, window) == plain
        assert use.refused == ""
        assert use.replayed > 20


schedules = st.lists(
    st.tuples(
        st.sampled_from([SHOTS, OTHER_SHOTS, ()]), st.integers(1, 7), st.integers(1, 40), st.booleans()
    ),
    min_size=1,
    max_size=14,
)


@draws(5)
@given(schedule=schedules, slots=st.integers(1, 9), wanted=st.integers(0, 3), kept=st.integers(1, 3))
@pytest.mark.parametrize("name", ["llama", "nemotron_h"])
def test_texts_are_the_same_for_any_schedule(name, schedule, slots, wanted, kept):
    ready = READY.setdefault(name, loaded(MODELS[name]()))
    requests = [
        sampled((*shots, *range(at, at + own)), at, count)
        if draws
        else greedy((*shots, *range(at, at + own)), count)
        for at, (shots, own, count, draws) in enumerate(schedule)
    ]
    use, room = graphing(), SlotCapacity(slots, 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "WANTED", wanted)
        patch.setattr(graphs, "WANTED_BESIDE_LARGER", 2 * wanted)
        patch.setattr(graphs, "MOST_KEPT", kept)
        assert answers_of(ready, requests, room, use) == answers_of(ready, requests, room)
    assert use.refused == ""


READY: dict[str, object] = {}


def test_texts_are_the_same_while_the_room_grows_and_less_is_read_than_reserved():
    ready, use = loaded(tiny_llama()), graphing()
    requests = [
        greedy((*SHOTS, 5), 300),
        greedy((*SHOTS, 6, 7), 200),
        *(greedy((*SHOTS, 9, n), 40) for n in range(4)),
    ]
    assert answers_of(ready, requests, SlotCapacity(2, 64), use) == answers_of(
        ready, requests, SlotCapacity(2, 64)
    )
    assert use.recorded > 4
    assert use.replayed > 300


@pytest.mark.parametrize(
    ("tiny", "slots_and_steps"),
    each_once([tiny_llama, repeating_llama, tiny_gpt2], [(1, 1), (3, 4), (5, 1)]),
)
def test_guesses_are_checked_by_replays_too(tiny, slots_and_steps):
    slots, steps = slots_and_steps
    ready, use, room = loaded(tiny()), graphing(), SlotCapacity(slots, 64)
    requests = [greedy((*SHOTS[:9], *question), 40 + at) for at, question in enumerate(QUESTIONS)]
    requests += [sampled((*SHOTS[:9], 7), n, count=6 + n) for n in range(3)]
    plain = answers_of(ready, requests, room, None, 64)
    assert answers_of(ready, requests, room, use, 64, checked=24, steps=steps) == plain
    assert use.refused == ""
    lengths = {one.output.shape[1] for one in use.recorder.recorded}
    assert lengths <= {1, 2, 4, 8, 16, 32}
    if tiny is repeating_llama:
        assert len(lengths) > 1


@pytest.mark.parametrize("kind", ["decode", "prefill"])
def test_out_of_memory_halves_the_slots_and_changes_no_text(monkeypatch, kind):
    ready, use = loaded(patched_nemotron_h()), graphing()
    requests = [greedy(SHOTS + question, 14 + len(question)) for question in QUESTIONS]
    whole = answers_of(ready, requests, SlotCapacity(8, 64))[0]
    full = Full(monkeypatch, 2, kind)
    assert answers_of(ready, requests, SlotCapacity(8, 64), use)[0] == whole
    assert full.raised == 2
    assert use.replayed


def test_a_step_is_recorded_after_some_of_its_shape_and_forgotten_when_its_room_grows():
    slots = Slots(SlotModel.of(loaded(tiny_llama())), 2, use := graphing())
    token = torch.tensor([5])
    with torch.inference_mode():
        slots.prefill(slots.model.prefix(SHOTS), [(9, 8)])
        for _ in range(WANTED):
            slots.decode(token)
        assert use.recorded == 0
        slots.decode(token)
        assert (use.recorded, use.replayed) == (1, 0)
        slots.decode(token)
        assert (use.recorded, use.replayed, use.positions) == (1, 1, 1)
        for _ in range(128 - 2 - WANTED - 2):
            slots.decode(token)
        assert (use.recorded, use.replayed) == (1, 128 - 2 - WANTED - 1)
        for _ in range(WANTED + 1):
            slots.decode(token)
        assert use.recorded == 2, "keys and values have moved"


def test_a_recorded_step_serves_any_prefix_and_rows_of_several():
    model, use = SlotModel.of(loaded(patched_nemotron_h())), graphing()
    slots, plain = Slots(model, 6, use, Reserved(128, 400)), Slots(model, 6)
    prefixes = [model.prefix(ids) for ids in (SHOTS, OTHER_SHOTS, tuple(range(90, 101)), ())]

    def decode(times):
        for at in range(times):
            tokens = torch.arange(len(slots)) + at
            assert torch.allclose(slots.decode(tokens), plain.decode(tokens), atol=1e-4)

    with torch.inference_mode():
        for one in (slots, plain):
            for prefix in prefixes[:3]:
                one.prefill(prefix, [(9, 8)])
        decode(WANTED + 1)
        assert (use.recorded, use.replayed) == (1, 0)
        for prefix in (*prefixes[3:], *prefixes[:3]):
            for one in (slots, plain):
                one.keep([1, 2])
                one.prefill(prefix, [(7, 6, 5)])
            decode(2)
        assert (use.recorded, use.replayed) == (1, 8)
        for one in (slots, plain):
            one.keep([2])
            one.prefill(prefixes[1], [(3,), (2,)])
        decode(3)
    assert (use.recorded, use.replayed, use.refused) == (1, 11, "")


def test_recorded_steps_live_as_long_as_a_run_over_many_prefixes(monkeypatch):
    monkeypatch.setattr(reserved, "RESERVING", ("cpu",))
    ready, use, moved = loaded(tiny_llama()), graphing(), []
    original = SlotLayer.reserve

    def reserve(layer, tokens):
        before = layer.keys.shape[2]
        original(layer, tokens)
        moved.append(bool(before and layer.keys.shape[2] > before))

    monkeypatch.setattr(SlotLayer, "reserve", reserve)
    prefixes = [tuple(range(start, start + 60 + start % 7)) for start in range(20, 180, 10)]
    requests = [
        greedy((*prefix, *question), 10 + at % 5)
        for prefix in prefixes
        for at, question in enumerate(QUESTIONS[:4])
    ]
    room = SlotCapacity(4, 400)
    assert answers_of(ready, requests, room, use) == answers_of(ready, requests, room)
    assert len({prompt.shared for prompt in plan_slots(requests)}) == len(prefixes)
    assert not any(moved), "capacity was reserved once"
    assert use.refused == ""
    assert use.recorded <= 6, "as many as there are shapes, for 16 prefixes"
    assert use.replayed > 60


@pytest.mark.parametrize("many", [1, 3])
def test_prefixes_for_which_the_pool_has_no_place_are_computed_by_plain_steps(many):
    """The pool has places for two."""
    model, use = SlotModel.of(loaded(tiny_llama())), graphing()
    slots, plain = Slots(model, 8, use, Reserved(128, 256)), Slots(model, 8)
    prefixes = [model.prefix(tuple(range(at, at + 60))) for at in (10, 20, 30)]
    with torch.inference_mode():
        for one in (slots, plain):
            for prefix in prefixes[:many]:
                one.prefill(prefix, [(9, 8)])
        for at in range(WANTED + 3):
            tokens = torch.arange(many) + at
            assert torch.allclose(slots.decode(tokens), plain.decode(tokens), atol=1e-4)
        assert use.replayed == (2 if many == 1 else 0)
        assert use.refused == ""


def test_a_prefix_that_is_not_finite_reaches_no_row_of_another():
    model, use = SlotModel.of(loaded(tiny_llama())), graphing()
    slots = Slots(model, 2, use)
    good, bad = model.prefix(SHOTS), model.prefix(OTHER_SHOTS)
    bad.layers[0].values[0, 0, 3] = float("nan")
    with torch.inference_mode():
        slots.prefill(good, [(9, 8)])
        slots.prefill(bad, [(9, 8)])
        for _ in range(WANTED + 3):
            logits = slots.decode(torch.tensor([5, 5]))
    assert logits[0].isfinite().all()
    assert not logits[1].isfinite().any()
    assert use.replayed == 0


def test_a_larger_recorded_step_serves_a_smaller_one_until_that_is_wanted_for_long():
    slots = Slots(SlotModel.of(loaded(patched_nemotron_h())), 8, use := graphing())
    plain = Slots(slots.model, 8)
    shapes = lambda: [graph.output.shape[:2] for graph in use.recorder.recorded]  # noqa: E731

    def decode(times):
        for at in range(times):
            tokens = torch.arange(len(slots)) + at
            assert torch.allclose(slots.decode(tokens), plain.decode(tokens), atol=1e-4)

    with torch.inference_mode():
        for one in (slots, plain):
            one.prefill(one.model.prefix(SHOTS), [(9, 8, at) for at in range(8)])
        decode(WANTED + 1)
        assert shapes() == [(8, 1)]
        for one in (slots, plain):
            one.keep([0, 2, 3, 4, 7])
        decode(WANTED_BESIDE_LARGER)
        assert (shapes(), use.replayed) == ([(8, 1)], WANTED_BESIDE_LARGER)
        decode(2)
        assert (shapes(), use.replayed) == ([(8, 1), (6, 1)], WANTED_BESIDE_LARGER + 1)
        for one in (slots, plain):
            one.keep([1])
        decode(WANTED)
        assert use.replayed == WANTED_BESIDE_LARGER + 1, "six rows are too many for one"


class Wrong(RunAgain):
    """Replays what it is told to."""

    def __init__(self, step, wrong):
        super().__init__(step)
        self.wrong = wrong

    def replay(self):
        return self.wrong(self)


def first_output(graph):
    """Replays nothing: its output stays what it was when nothing was in the inputs."""
    return torch.zeros_like(graph.step())


def off_by_a_row(graph):
    return RunAgain.replay(graph).roll(1, dims=0)


def not_a_number(graph):
    return RunAgain.replay(graph) * float("nan")


def twice(graph):
    """A recurrent state goes two tokens on; the logits are those of one."""
    found = graph.step().clone()
    graph.step()
    return found


def fails(graph):
    raise RuntimeError("operation not permitted when stream is capturing\nmore")


WRONG = {
    first_output: "logits are off",
    off_by_a_row: "logits are off",
    not_a_number: "logits are off by inf",
    twice: "states are off",
    fails: "operation not permitted when stream is capturing",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_replay_turns_recording_off_says_why_and_changes_no_text(wrong):
    ready = loaded(patched_nemotron_h())
    requests = [greedy((*SHOTS, *question), 20 + at) for at, question in enumerate(QUESTIONS)]
    use = graphing(lambda step: Wrong(step, wrong))
    assert answers_of(ready, requests, SlotCapacity(4, 64), use) == answers_of(
        ready, requests, SlotCapacity(4, 64)
    )
    assert WRONG[wrong] in use.refused
    assert "\n" not in use.refused
    assert (use.recorded, use.replayed) == (0, 0)
    assert len(use.recorder.recorded) == 1


def test_keys_that_a_replay_does_not_write_are_missed():
    """Those of the plain step before it are gone by then."""
    ready, use = loaded(tiny_llama()), graphing(lambda step: Wrong(step, lambda graph: right.pop(0)))
    slots, plain = Slots(SlotModel.of(ready), 1, use), Slots(SlotModel.of(ready), 1)
    with torch.inference_mode():
        for one in (slots, plain):
            one.prefill(one.model.prefix(SHOTS), [(9, 8)])
        for _ in range(WANTED):
            slots.decode(torch.tensor([5]))
            plain.decode(torch.tensor([5]))
        right = [plain.decode(torch.tensor([5]))[:, None]]
        slots.decode(torch.tensor([5]))
    assert use.refused == "a replayed step's states are off by 1"


@pytest.mark.parametrize("place", ["warm_up", "record", "copied_states"])
def test_memory_that_is_too_short_for_recording_does_not_end_anything(monkeypatch, place):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 6 GiB.")

    ready, use = loaded(patched_nemotron_h()), graphing()
    monkeypatch.setattr(
        "evalsuite.engine.native.slots.cache.SlotCache.copied_states", fail
    ) if place == "copied_states" else (setattr(use.recorder, place, fail))
    requests = [greedy((*SHOTS, *question), 20) for question in QUESTIONS]
    assert answers_of(ready, requests, SlotCapacity(4, 64), use) == answers_of(
        ready, requests, SlotCapacity(4, 64)
    )
    assert use.refused.startswith("CUDA out of memory")


def test_free_slots_leave_nothing_behind_for_the_next_prompt():
    """What a step writes into free slots is not a number here; the next rows there do not see it."""
    ready, use = loaded(patched_nemotron_h()), graphing()
    slots = Slots(SlotModel.of(ready), 8, use)
    with torch.inference_mode():
        slots.prefill(slots.model.prefix(SHOTS), [(9, 8, 7)] * 5)
        for _ in range(WANTED + 3):
            slots.decode(torch.tensor([5] * 5))
        assert use.replayed
        for layer in slots._cache.layers:
            for part in layer.by_token:
                part[5:, :, :1] = float("nan")
            for state in layer.states:
                state[5:] = float("nan")
        assert slots.decode(torch.tensor([5] * 5)).isfinite().all()
        found = slots.prefill(slots.model.prefix(SHOTS), [(9, 8, 7)])
        again = slots.decode(torch.tensor([5] * 6))
        fresh = Slots(SlotModel.of(ready), 1)
        assert torch.allclose(found, fresh.prefill(fresh.model.prefix(SHOTS), [(9, 8, 7)]), atol=1e-4)
        assert torch.allclose(again[5:], fresh.decode(torch.tensor([5])), atol=1e-4)
