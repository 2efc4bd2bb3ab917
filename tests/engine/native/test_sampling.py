import torch
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.native.sampling import NO_TOKEN, best_tokens, draw, generator_for, next_tokens
from evalsuite.types import GenerateRequest


def sampled(**changes):
    return GenerateRequest(**{"context": (1, 2), "stop": (), "max_tokens": 4, "temperature": 1.0, **changes})


def first_numbers(request):
    return torch.rand(4, generator=generator_for(request)).tolist()


def test_a_request_draws_the_same_numbers_every_time():
    assert first_numbers(sampled()) == first_numbers(sampled())


def test_seed_sample_and_context_each_give_other_numbers():
    numbers = [
        first_numbers(sampled(**change)) for change in ({}, {"seed": 1}, {"sample": 1}, {"context": (1, 3)})
    ]
    assert len({tuple(one) for one in numbers}) == 4


def test_a_greedy_request_draws_nothing():
    assert generator_for(sampled(temperature=0.0)) is None
    assert generator_for(sampled(temperature=1e-7)) is None


def test_greedy_rows_take_the_most_probable_token_beside_sampled_ones():
    logits = torch.tensor([[0.0, 5.0, 1.0], [9.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
    requests = [sampled(temperature=0.0), sampled(), sampled(temperature=0.0)]
    tokens = next_tokens(logits, requests, [generator_for(one) for one in requests])
    assert (tokens[0], tokens[2]) == (1, 2)


@given(
    st.lists(st.floats(-50, 50, width=32) | st.just(-torch.inf), min_size=1, max_size=9),
    st.sampled_from([torch.nan, torch.inf, None]),
    st.integers(0, 8),
    st.floats(0, 1),
)
def test_logits_name_a_token_unless_one_is_nan_or_the_largest_is_infinite(
    values, planted, place, temperature
):
    if planted is not None:
        values[place % len(values)] = planted
    logits = torch.tensor([values, [0.0] * len(values)])
    requests = [sampled(temperature=temperature), sampled(temperature=0.0)]
    tokens = next_tokens(logits, requests, [generator_for(one) for one in requests])
    names_none = planted is not None or max(values) == -torch.inf
    assert (tokens[0] == NO_TOKEN) == names_none
    assert (best_tokens(logits)[0].item() == NO_TOKEN) == names_none
    assert names_none or logits[0, tokens[0]].isfinite()
    assert tokens[1] == 0


def test_draws_follow_the_distribution():
    probability = torch.tensor([0.1, 0.6, 0.3])
    uniform = (torch.arange(1000) + 0.5) / 1000
    tokens = draw(probability.log().repeat(1000, 1), uniform, torch.ones(1000), torch.ones(1000))
    torch.testing.assert_close(tokens.bincount(minlength=3) / 1000, probability, atol=0.002, rtol=0)


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p():
    probability = torch.tensor([0.1, 0.6, 0.3])
    uniform = (torch.arange(900) + 0.5) / 900
    tokens = draw(probability.log().repeat(900, 1), uniform, torch.ones(900), torch.full((900,), 0.85))
    torch.testing.assert_close(
        tokens.bincount(minlength=3) / 900, torch.tensor([0, 2 / 3, 1 / 3]), atol=0.002, rtol=0
    )


def test_a_cold_temperature_is_almost_greedy():
    logits = torch.tensor([[1.0, 1.1, 0.0]])
    assert draw(logits, torch.tensor([0.99]), torch.tensor([0.001]), torch.ones(1)).tolist() == [1]


@given(st.floats(0, 1, exclude_max=True), st.floats(0.01, 3), st.floats(0, 1), st.integers(0, 99))
def test_a_draw_is_always_a_token_of_the_vocabulary(uniform, temperature, top_p, seed):
    logits = torch.randn((1, 7), generator=torch.Generator().manual_seed(seed)) * 10
    values = (torch.tensor([value], dtype=torch.float32) for value in (uniform, temperature, top_p))
    assert 0 <= draw(logits, *values).item() < 7
