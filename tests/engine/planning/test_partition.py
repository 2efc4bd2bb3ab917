"""Parts of the requests can be answered by other processes: nothing is lost, and every part answers as in the
whole."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.checkpoints import resolve
from evalsuite.engine.native import fit_trees as packable
from evalsuite.engine.native import sizes
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.placement import Budget
from evalsuite.engine.planning.partition import generation_parts, tokens_of
from evalsuite.engine.planning.plan import plan_packs
from evalsuite.engine.protocol import answers_in
from evalsuite.types import GenerateRequest, ScoreRequest
from tests.engine.tiny import save, tiny_hybrids

ids = st.lists(st.integers(0, 2), min_size=1, max_size=8).map(tuple)
score_requests = st.lists(st.builds(ScoreRequest, ids, ids), max_size=40, unique=True)
generate_requests = st.lists(
    st.builds(GenerateRequest, ids, st.just(()), st.integers(1, 4), sample=st.integers(0, 2)),
    max_size=40,
    unique=True,
)
budgets = st.integers(1, 60)

SHOTS, OTHER_SHOTS = tuple(range(20, 30)), tuple(range(40, 110))
SCORES = [
    ScoreRequest((*SHOTS, subject, *range(100, 100 + length)), (3, choice))
    for subject in (11, 12, 13)
    for length in range(1, 20)
    for choice in (4, 5)
]


def texts(temperature: float, samples: int) -> list[GenerateRequest]:
    return [
        GenerateRequest((*shots, *range(200, 200 + own)), (), 6, temperature, 0.9, 7, sample)
        for shots in (SHOTS, OTHER_SHOTS)
        for own in range(1, 12)
        for sample in range(samples)
    ]


def answers_of(blocks):
    return dict(answers_in(blocks))


@given(score_requests, budgets, budgets)
def test_a_piece_of_a_plan_plans_to_the_same_packs_by_itself_whatever_the_memory(requests, budget, most):
    whole = plan_packs(requests, budget, most)
    packs = {tuple(plan_of(whole, run)) for run in whole.runs}
    found = []
    for piece in plan_packs(requests, max(budget, most)).runs:
        part = [one for index in piece for one in plan_packs(requests, max(budget, most)).requests[index]]
        alone = plan_packs(part, budget, most)
        found += [tuple(plan_of(alone, run)) for run in alone.runs]
    assert len(found) == len(packs)
    assert set(found) == packs


def plan_of(plan, run):
    """What a pack is: its inputs' tokens, and what is read from each."""
    return [(tuple(plan.inputs.of(index).tolist()), plan.requests[index]) for index in run]


@given(score_requests, budgets, budgets)
def test_packs_of_pieces_keep_to_the_budget(requests, budget, most):
    plan = plan_packs(requests, budget, most)
    assert sorted(index for run in plan.runs for index in run) == list(range(len(plan.inputs)))
    assert all(len(run) == 1 or plan.inputs.tokens_of(run) <= budget for run in plan.runs)


@given(generate_requests, st.integers(1, 5))
def test_parts_of_texts_hold_every_request_once_whatever_the_order(requests, rows):
    parts = generation_parts(requests, rows)
    assert sorted(map(hash, (one for part in parts for one in part))) == sorted(map(hash, requests))
    assert parts == generation_parts(random.sample(requests, len(requests)), rows)
    assert all(len(part) <= rows or len({one.context for one in part}) == 1 for part in parts)
    assert all(generation_parts(part, rows) == [part] for part in parts)
    assert [tokens_of(part) for part in parts] == sorted(map(tokens_of, parts), reverse=True)


def test_prompts_of_one_prefix_stand_in_one_part_as_far_as_they_fit():
    requests = texts(0.0, 1)
    parts = generation_parts(requests, 11)
    assert [{one.context[:10] for one in part} for part in parts] == [{OTHER_SHOTS[:10]}, {SHOTS}]
    assert {len(part) for part in generation_parts(requests, 6)} == {5, 6}


def test_tokens_count_what_is_shared_once_and_texts_at_full_length():
    assert (
        tokens_of([ScoreRequest((1, 2), (3, 4)), ScoreRequest((1, 2), (3, 5)), ScoreRequest((1,), (9,))]) == 3
    )
    assert tokens_of([GenerateRequest((1, 2), (), 6), GenerateRequest((1, 3), (), 4, 1.0)]) == 3 + 10


def scores_by_part(engine):
    parts = engine.partition(SCORES)
    assert sorted(map(hash, (one for part in parts for one in part))) == sorted(map(hash, SCORES))
    return parts, {r: a for part in reversed(parts) for r, a in answers_of(engine.score(part)).items()}


@pytest.mark.parametrize("packed", [True, False])
def test_parts_scored_alone_give_every_digit_of_the_whole(llama_files, packed):
    engine = TransformersEngine(llama_files, device="cpu", token_budget=40, packed=packed)
    parts, apart = scores_by_part(engine)
    assert len(parts) > 2
    assert apart == answers_of(engine.score(SCORES))


def test_so_they_do_where_memory_is_short_and_a_part_takes_several_packs(llama_files, monkeypatch):
    monkeypatch.setattr(sizes, "MOST_TOKENS", 60)
    monkeypatch.setattr(sizes, "FEWEST_TOKENS", 10)
    ample = TransformersEngine(llama_files, device="cpu").partition(SCORES)
    monkeypatch.setattr(sizes, "SHARE", 0.0)
    engine = TransformersEngine(llama_files, device="cpu")
    assert engine.limits.pack_tokens < 60
    parts, apart = scores_by_part(engine)
    assert parts == ample
    assert len(engine.scorer.plan_packs(SCORES).runs) > len(parts) > 1
    assert apart == answers_of(engine.score(SCORES))


def test_so_they_do_where_packs_turn_out_not_to_fit_the_model(llama_files, monkeypatch):
    monkeypatch.setattr(packable, "why_it_differs", lambda loaded: "a trial differed")
    engine = TransformersEngine(llama_files, device="cpu", token_budget=40)
    parts, apart = scores_by_part(engine)
    assert len(parts) > 2
    assert apart == answers_of(engine.score(SCORES))
    assert engine.notes == ("scored in padded batches: a trial differed",)


@pytest.fixture(scope="module")
def mamba_files(tmp_path_factory):
    return resolve(str(save(tiny_hybrids()["mamba"].eval(), tmp_path_factory.mktemp("mamba"))))


@pytest.mark.parametrize(("temperature", "samples"), [(0.0, 1), (1.0, 3)])
@pytest.mark.parametrize("family", ["llama", "mamba"])
def test_parts_generate_the_texts_of_the_whole(family, temperature, samples, llama_files, mamba_files):
    """Llama in slots, Mamba in batches."""
    engine = TransformersEngine({"llama": llama_files, "mamba": mamba_files}[family], device="cpu")
    engine.limits.budget = Budget(tokens=64, logits=2**20, cached_tokens=600, rows=6)
    requests = texts(temperature, samples)
    parts = engine.partition(requests)
    assert len(parts) >= len(requests) // 6
    apart = {r: a for part in reversed(parts) for r, a in answers_of(engine.generate(part)).items()}
    assert apart == answers_of(engine.generate(requests))
