"""Plans are right whatever the requests: every token once per pack, every target once, no dependence on
order."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.planning.pack import lay
from evalsuite.engine.planning.plan import (
    PACK_COST,
    cut_into_runs,
    plan_packs,
    sort_inputs,
    sortable,
    without,
)
from evalsuite.types import ScoreRequest

ids = st.lists(st.integers(0, 2), min_size=1, max_size=8).map(tuple)
requests = st.lists(st.builds(ScoreRequest, ids, ids), max_size=40, unique=True)
budgets = st.integers(1, 60)


def input_of(request: ScoreRequest) -> tuple[int, ...]:
    return (request.context + request.continuation)[:-1]


def packs_of(plan):
    for run in plan.runs:
        read = [max(len(one.continuation) for one in plan.requests[index]) for index in run]
        pack, positions = lay(plan.inputs, run, read)
        yield run, pack, positions


def path_to(pack, position: int) -> list[int]:
    """Positions from the root to this one."""
    path = []
    while position >= 0:
        path.append(position)
        position = int(pack.parents[position])
    return path[::-1]


def prefixes(sequences) -> set[tuple[int, ...]]:
    return {sequence[:end] for sequence in sequences for end in range(1, len(sequence) + 1)}


@given(requests, budgets)
def test_every_request_is_read_from_exactly_one_input_of_one_pack(requests, budget):
    plan = plan_packs(requests, budget)
    planned = [one for run in plan.runs for index in run for one in plan.requests[index]]
    assert len(planned) == len(requests)
    assert set(planned) == set(requests)
    for index, together in enumerate(plan.requests):
        assert {input_of(one) for one in together} == {tuple(plan.inputs.of(index).tolist())}


@given(requests, budgets)
def test_an_input_lies_along_one_path_of_its_pack_at_its_own_depths(requests, budget):
    plan = plan_packs(requests, budget)
    for run, pack, positions in packs_of(plan):
        for index, read in zip(run, positions, strict=True):
            path = path_to(pack, int(read[-1]))
            assert pack.ids[path].tolist() == plan.inputs.of(index).tolist()
            assert pack.depths[path].tolist() == list(range(len(path)))
            assert path[-len(read) :] == read.tolist()


@given(requests, budgets)
def test_every_distinct_token_stands_once_in_a_pack(requests, budget):
    plan = plan_packs(requests, budget)
    for run, pack, _ in packs_of(plan):
        expected = prefixes(tuple(plan.inputs.of(index).tolist()) for index in run)
        found = [tuple(pack.ids[path_to(pack, position)].tolist()) for position in range(len(pack))]
        assert len(found) == len(expected)
        assert set(found) == expected


@given(requests, budgets)
def test_a_token_is_seen_by_exactly_those_that_come_after_it_in_some_sequence(requests, budget):
    for _, pack, _ in packs_of(plan_packs(requests, budget)):
        for later in range(len(pack)):
            seen = [earlier for earlier in range(later + 1) if later < pack.ends[earlier]]
            assert seen == path_to(pack, later)


@given(requests, budgets)
def test_nodes_are_the_stretches_without_a_branch(requests, budget):
    for _, pack, _ in packs_of(plan_packs(requests, budget)):
        nodes = pack.nodes
        assert nodes.stops.tolist() == [*nodes.starts.tolist()[1:], len(pack)]
        for node, (start, stop) in enumerate(zip(nodes.starts, nodes.stops, strict=True)):
            assert pack.parents[start + 1 : stop].tolist() == list(range(start, stop - 1))
            assert set(pack.ends[start:stop].tolist()) == {int(nodes.ends[node])}
            parent = int(nodes.parents[node])
            before = int(pack.parents[start])
            assert (parent == -1) == (before == -1)
            if parent >= 0:
                assert nodes.stops[parent] - 1 == before
                assert parent < node


@given(requests, budgets)
def test_counts_are_those_of_the_packs_and_planning_never_computes_more_than_asked(requests, budget):
    plan = plan_packs(requests, budget)
    inputs = {input_of(one) for one in requests}
    assert plan.inputs.distinct == len(prefixes(inputs))
    assert plan.planned == sum(len(pack) for _, pack, _ in packs_of(plan))
    assert plan.requested == sum(len(input_of(one)) for one in requests)
    assert plan.inputs.distinct <= plan.planned <= plan.requested


@given(requests, budgets)
def test_only_an_input_that_is_longer_by_itself_is_over_the_budget(requests, budget):
    plan = plan_packs(requests, budget)
    for run in plan.runs:
        assert plan.inputs.tokens_of(run) <= budget or len(run) == 1
    sizes = [plan.inputs.tokens_of(run) for run in plan.runs]
    assert sizes == sorted(sizes, reverse=True)


@given(requests, budgets, st.randoms())
def test_a_plan_does_not_depend_on_the_order_of_requests(requests, budget, random):
    one, other = plan_packs(requests, budget), plan_packs(random.sample(requests, len(requests)), budget)
    assert one.runs == other.runs
    assert one.requests == other.requests
    assert one.inputs.tokens.tolist() == other.inputs.tokens.tolist()


@given(st.lists(ids, max_size=9, unique=True), budgets)
def test_no_other_cuts_into_runs_compute_fewer_tokens(sequences, budget):
    inputs, _ = sort_inputs(map(sortable, sequences))

    def cost(edges) -> float:
        runs = [tuple(range(first, last)) for first, last in pairwise(edges)]
        if any(len(run) > 1 and inputs.tokens_of(run) > budget for run in runs):
            return float("inf")
        return sum(inputs.tokens_of(run) + PACK_COST for run in runs)

    inner = range(1, len(inputs))
    choices = [
        [0, *(cut for place, cut in enumerate(inner) if picked >> place & 1), len(inputs)]
        for picked in range(2 ** len(inner))
    ]
    found = cut_into_runs(inputs, budget)
    if sequences:
        assert cost([0, *(run[-1] + 1 for run in found)]) == min(map(cost, choices))


@given(requests, budgets, st.data())
def test_what_is_answered_is_left_out_and_untouched_packs_stay_as_they_are(requests, budget, data):
    plan = plan_packs(requests, budget)
    answered = set(data.draw(st.lists(st.sampled_from(requests)))) if requests else set()
    runs, planned = without(plan, answered)
    left = {one for run in runs for index in run for one in plan.requests[index]}
    assert set(requests) - answered <= left
    for index, together in enumerate(plan.requests):
        assert any(index in run for run in runs) == bool(set(together) - answered)
    untouched = [
        run for run in plan.runs if not any(one in answered for index in run for one in plan.requests[index])
    ]
    assert all(run in runs for run in untouched)
    assert planned == sum(map(plan.inputs.tokens_of, runs)) <= plan.planned


def test_letters_of_one_question_read_one_row():
    letters = [ScoreRequest((5, 6, 7), (letter,)) for letter in (1, 2, 3, 4)]
    plan = plan_packs(letters, 100)
    assert (plan.planned, plan.requested, plan.runs) == (3, 12, [(0,)])
    assert plan.requests == [tuple(letters)]


def test_a_shared_prefix_is_computed_again_only_where_a_pack_is_full():
    shots = tuple(range(10, 30))
    questions = [ScoreRequest((*shots, number, number + 1), (1,)) for number in range(100, 112)]
    assert plan_packs(questions, 1000).planned == 20 + 12 * 2
    halved = plan_packs(questions, 32)
    assert (len(halved.runs), halved.planned) == (2, 2 * 20 + 12 * 2)


def test_cuts_are_made_where_little_is_shared():
    one, other = tuple(range(10, 30)), tuple(range(50, 70))
    questions = [ScoreRequest((*shots, number), (1,)) for shots in (one, other) for number in range(4)]
    plan = plan_packs(questions, 30)
    assert plan.planned == plan.inputs.distinct == 48
    assert [len(run) for run in plan.runs] == [4, 4]


def test_many_inputs_are_compared_in_steps_of_bounded_memory(monkeypatch):
    random = np.random.default_rng(0)
    keys = {sortable(tuple(random.integers(0, 3, size=random.integers(1, 9)).tolist())) for _ in range(300)}
    whole, _ = sort_inputs(keys)
    monkeypatch.setattr("evalsuite.engine.planning.plan.COMPARED_AT_ONCE", 10)
    stepped, _ = sort_inputs(keys)
    assert stepped.shared.tolist() == whole.shared.tolist()


@pytest.mark.parametrize("ids", [(0,), (1, 256), (65536, 2**31)])
def test_ids_of_any_size_are_kept(ids):
    inputs, _ = sort_inputs([sortable(ids), sortable((3,))])
    assert tuple(inputs.of(0 if ids < (3,) else 1).tolist()) == ids


def test_nothing_to_score_is_an_empty_plan():
    plan = plan_packs([], 100)
    assert (plan.runs, plan.planned, plan.requested, plan.inputs.distinct) == ([], 0, 0, 0)
