"""The pool of prefixes: who owns which token, what is stored there, and how much memory is reserved."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.native.slots.cache import NO_PREFIX, SlotCache
from evalsuite.engine.native.slots.forward import SlotModel
from evalsuite.engine.native.slots.prefix_pool import PLACE_STEP, PREFIXES, Placed, PrefixPool, place_of
from evalsuite.engine.native.slots.reserved import GROWING, Reserved, reserved_for
from evalsuite.engine.planning.prefixes import plan_slots
from tests.draws import draws
from tests.engine.native.test_generate_batch import greedy
from tests.engine.tiny import loaded, tiny_hybrids, tiny_llama


def model_and_pool(make=tiny_llama, tokens=0):
    model = SlotModel.of(loaded(make().eval()))
    return model, PrefixPool(SlotCache(model.like, 1).layers, tokens)


def assert_holds(pool, prefix, start):
    """The prefix's last tokens, which a layer keeps, are where those of a prefix at `start` belong."""
    end = start + prefix.length
    for parts, layer in zip(pool.parts, prefix.layers, strict=True):
        for part, own in zip(parts, (layer.keys, layer.values), strict=bool(parts)):
            assert torch.equal(part[:, end - own.shape[2] : end], own[0])


@draws(20)
@given(
    schedule=st.lists(
        st.lists(st.integers(1, 250), min_size=1, max_size=4, unique=True), min_size=1, max_size=8
    ),
    tokens=st.sampled_from([0, 384, 640]),
)
def test_every_prefix_of_active_rows_has_its_own_tokens(schedule, tokens):
    model, pool = model_and_pool(tokens=tokens)
    prefixes = {
        length: model.prefix(tuple((7 * length + at) % 250 for at in range(length)))
        for lengths in schedule
        for length in lengths
    }
    for lengths in schedule:
        placed = pool.place([prefixes[length] for length in lengths])
        fits = sum(map(place_of, lengths)) <= pool.tokens
        assert (placed is not None) == fits
        if not fits:
            continue
        assert placed.end <= pool.tokens
        assert all(start % PLACE_STEP == 0 for start in placed.starts)
        for start, length in zip(placed.starts, lengths, strict=True):
            assert start + length <= placed.end
            assert_holds(pool, prefixes[length], start)


def test_a_prefix_stays_where_it_is_while_rows_have_it_and_its_place_is_taken_later():
    model, pool = model_and_pool(tokens=256)
    first, second, third = (model.prefix(tuple(range(at, at + 50))) for at in (0, 60, 120))
    assert pool.place([first, second, first]) == Placed([0, 128, 0], 256)
    address = pool.parts[0][0].data_ptr()
    assert pool.place([second, NO_PREFIX, third]) == Placed([128, 0, 0], 256)
    assert_holds(pool, second, 128)
    assert_holds(pool, third, 0)
    assert pool.place([first, second, third]) is None
    assert pool.parts[0][0].data_ptr() == address


def test_the_pool_grows_for_a_prefix_that_is_longer_than_it():
    model, pool = model_and_pool(tokens=128)
    short, long = model.prefix(tuple(range(100))), model.prefix(tuple(range(200)))
    assert pool.place([short]) == Placed([0], 128)
    placed = pool.place([short, long])
    assert pool.tokens >= PREFIXES * 200
    for prefix, start in zip((short, long), placed.starts, strict=True):
        assert_holds(pool, prefix, start)


def test_of_a_window_the_last_tokens_are_kept_where_they_belong():
    model, pool = model_and_pool(lambda: tiny_hybrids()["gemma3"])
    prefix = model.prefix(tuple(range(40)))
    assert {layer.keys.shape[2] for layer in prefix.layers} != {40}
    assert_holds(pool, prefix, pool.place([prefix]).starts[0])


def test_a_model_without_attention_needs_no_pool():
    model, pool = model_and_pool(lambda: tiny_hybrids()["mamba2"])
    placed = pool.place([model.prefix((1, 2, 3)), NO_PREFIX])
    assert (placed.end, pool.tokens) == (0, 0)


def test_memory_is_reserved_for_the_longest_text_and_a_few_prefixes_on_a_gpu():
    shared = [tuple(range(start, start + 100)) for start in range(0, 600, 100)]
    prompts = plan_slots([greedy((*prefix, 1, at), 20 + at) for prefix in shared for at in range(3)])
    assert reserved_for("cpu", prompts, 4096, 8) == GROWING
    assert reserved_for("cuda:1", [], 4096, 8) == GROWING
    of_prefixes = PREFIXES * (-(-100 // PLACE_STEP) * PLACE_STEP)
    assert {len(prompt.shared) for prompt in prompts} == {101}
    assert reserved_for("cuda:1", prompts, 4096, 8) == Reserved(1 + 22 + 8, of_prefixes)
    assert reserved_for("cuda", prompts, 110, 8).own_tokens == 9 + 8, "no text passes the window"
    assert reserved_for("cuda", prompts[:3], 4096, 0).prefix_tokens == place_of(101)
