from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.placement import Budget
from evalsuite.engine.planning.batches import (
    ScoreRow,
    cached_tokens,
    padded_tokens,
    plan_generation,
    plan_padded_batches,
    score_rows,
    unanswered,
)
from evalsuite.types import GenerateRequest, ScoreRequest

ids = st.lists(st.integers(0, 2), min_size=1, max_size=5).map(tuple)
score_requests = st.lists(st.builds(ScoreRequest, ids, ids), max_size=30, unique=True)
generate_requests = st.lists(
    st.builds(GenerateRequest, ids, st.just(()), st.integers(1, 4), sample=st.integers(0, 2)),
    max_size=30,
    unique=True,
)
budgets = st.builds(
    Budget,
    tokens=st.integers(1, 40),
    logits=st.integers(1, 200),
    cached_tokens=st.integers(1, 60),
    rows=st.integers(1, 5),
)
VOCABULARY = 10


@given(score_requests, budgets)
def test_every_request_stands_in_exactly_one_row(requests, budget):
    planned = [
        one
        for batch in plan_padded_batches(requests, budget, VOCABULARY)
        for row in batch
        for one in row.requests
    ]
    assert len(planned) == len(requests)
    assert set(planned) == set(requests)


@given(score_requests, budgets)
def test_a_row_is_the_input_of_all_of_its_requests_and_no_input_is_computed_twice(requests, budget):
    rows = [row for batch in plan_padded_batches(requests, budget, VOCABULARY) for row in batch]
    assert len({row.ids for row in rows}) == len(rows)
    for row in rows:
        assert {(one.context + one.continuation)[:-1] for one in row.requests} == {row.ids}
        assert 1 <= row.scored <= len(row.ids)


@given(score_requests, budgets)
def test_only_a_single_row_may_be_over_budget(requests, budget):
    for batch in plan_padded_batches(requests, budget, VOCABULARY):
        within = padded_tokens(batch) <= budget.tokens
        within &= sum(row.scored for row in batch) * VOCABULARY <= budget.logits
        assert within or len(batch) == 1


@given(score_requests, budgets, st.randoms())
def test_a_scoring_plan_does_not_depend_on_the_order_of_requests(requests, budget, random):
    shuffled = random.sample(requests, len(requests))
    assert plan_padded_batches(shuffled, budget, VOCABULARY) == plan_padded_batches(
        requests, budget, VOCABULARY
    )


@given(score_requests)
def test_longest_rows_come_first(requests):
    lengths = [len(row.ids) for row in score_rows(requests)]
    assert lengths == sorted(lengths, reverse=True)


@given(generate_requests, budgets, st.randoms())
def test_a_generation_plan_is_whole_within_budget_and_independent_of_order(requests, budget, random):
    plan = plan_generation(requests, budget)
    assert sorted(map(repr, (one for batch in plan for one in batch))) == sorted(map(repr, requests))
    assert plan == plan_generation(random.sample(requests, len(requests)), budget)
    for batch in plan:
        assert len(batch) <= budget.rows
        assert cached_tokens(batch) <= budget.cached_tokens or len(batch) == 1


def test_choices_of_one_token_share_a_row():
    letters = [ScoreRequest((5, 6), (choice,)) for choice in (1, 2, 3, 4)]
    (row,) = score_rows(letters)
    assert row == ScoreRow((5, 6), tuple(letters))


def test_continuations_of_unequal_length_share_a_row_where_their_input_is_the_same():
    short, long = ScoreRequest((5, 6, 7), (1,)), ScoreRequest((5,), (6, 7, 2))
    (row,) = score_rows([short, long])
    assert row.ids == (5, 6, 7)
    assert row.scored == 3


def test_a_half_answered_batch_stays_whole_and_an_answered_one_is_left_out():
    requests = [ScoreRequest((token,), (1,)) for token in range(4)]
    batches = plan_padded_batches(requests, Budget(2, 100, 1, 1), VOCABULARY)
    assert [len(batch) for batch in batches] == [2, 2]
    left = unanswered(batches, set(requests[:3]), lambda row: row.requests)
    assert left == batches[1:]
