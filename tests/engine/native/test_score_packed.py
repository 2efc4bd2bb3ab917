"""Packed scoring gives what one request at a time gives, whatever the tree, the model and the budget."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.native.score_packed import score_run
from evalsuite.engine.native.trees import blocks
from evalsuite.engine.planning.plan import plan_packs
from evalsuite.types import Score, ScoreRequest
from tests.draws import draws
from tests.engine.native.decoders import DECODERS
from tests.engine.tiny import loaded, log_probs_alone, tiny_llama

OF_SCALE = 1e-5
"""Largest difference allowed, as a share of the largest logit."""


@pytest.fixture(scope="module", params=DECODERS)
def model(request) -> torch.nn.Module:
    return DECODERS[request.param]()


tokens = st.integers(2, 5)
stretches = st.lists(tokens, min_size=1, max_size=9).map(tuple)


@st.composite
def trees_of_requests(draw) -> list[ScoreRequest]:
    """Requests that share beginnings of all kinds: shots, questions, one token, nothing."""
    beginnings: list[tuple[int, ...]] = [()]
    for _ in range(draw(st.integers(1, 6))):
        beginnings.append(draw(st.sampled_from(beginnings)) + draw(stretches))
    contexts = st.sampled_from(beginnings[1:])
    return draw(st.lists(st.builds(ScoreRequest, contexts, stretches), min_size=1, max_size=12, unique=True))


def scored(model, requests, budget=10_000, **options) -> dict[ScoreRequest, Score]:
    plan, ready = plan_packs(requests, budget), replace(loaded(model), **options)
    return dict(answer for run in plan.runs for answer in score_run(ready, plan, run))


@torch.inference_mode()
def largest_logit(model, requests) -> float:
    return max(model(input_ids=torch.tensor([one.context])).logits.abs().max().item() for one in requests)


def furthest(one: dict[ScoreRequest, Score], other: dict[ScoreRequest, Score]) -> float:
    assert one.keys() == other.keys()
    return max(
        abs(a - b)
        for request, score in one.items()
        for a, b in zip(score.log_probs, other[request].log_probs, strict=True)
    )


def assert_as_alone(model, requests, answers: dict[ScoreRequest, Score]) -> None:
    """Each request was scored as in a forward pass of its own."""
    assert set(answers) == set(requests)
    scale = max(1.0, largest_logit(model, requests))
    for request, score in answers.items():
        expected = log_probs_alone(model, request.context, request.continuation)
        assert score.log_probs == pytest.approx(expected, abs=OF_SCALE * scale)


@draws(5)
@given(
    requests=trees_of_requests(),
    budget=st.sampled_from([10, 40, 10_000]),
    small=st.sampled_from([0, 6, 128]),
    short=st.sampled_from([0, 3, 16]),
)
def test_a_packed_tree_scores_as_each_request_alone(model, requests, budget, small, short):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "SMALL", small)
        patch.setattr(blocks, "SHORT", short)
        answers = scored(model, requests, budget)
    assert_as_alone(model, requests, answers)


def questions(shots=40, documents=6, choices=4) -> list[ScoreRequest]:
    random = torch.Generator().manual_seed(3)

    def some(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(2, 260, (count,), generator=random).tolist())

    prefix = some(shots)
    contexts = [prefix + some(3 + 2 * number) for number in range(documents)]
    return [ScoreRequest(context, some(1 + choice)) for context in contexts for choice in range(choices)]


def test_nothing_depends_on_the_budget_or_on_how_attention_is_cut(model, monkeypatch):
    requests = [one for one in questions(shots=30, documents=4) if len(one.context) < 60]
    whole = scored(model, requests)
    scale = max(1.0, largest_logit(model, requests))
    assert furthest(scored(model, requests, budget=70), whole) <= 2 * OF_SCALE * scale
    monkeypatch.setattr(blocks, "SMALL", 0)
    assert furthest(scored(model, requests), whole) <= 2 * OF_SCALE * scale


def test_the_head_runs_in_chunks_over_the_positions_that_are_read():
    model = tiny_llama()
    requests = questions()
    whole = scored(model, requests)
    seen = []
    handle = model.lm_head.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[1]))
    assert furthest(scored(model, requests, positions_per_chunk=7), whole) < 1e-5
    handle.remove()
    rows = {
        (one.context + one.continuation)[:end]
        for one in requests
        for end in range(len(one.context), len(one.context + one.continuation))
    }
    assert max(seen) == 7
    assert sum(seen) == len(rows)


def test_greedy_means_that_every_token_is_the_most_probable_one():
    model = tiny_llama()
    context = (5, 6, 7)
    with torch.inference_mode():
        best = int(model(input_ids=torch.tensor([context])).logits[0, -1].argmax())
        then = int(model(input_ids=torch.tensor([(*context, best)])).logits[0, -1].argmax())
    wanted = {(best,): True, (best, then): True, (best, (then + 1) % 260): False, ((best + 1) % 260,): False}
    answers = scored(model, [ScoreRequest(context, continuation) for continuation in wanted])
    assert {request.continuation: score.is_greedy for request, score in answers.items()} == wanted


def test_continuations_of_unequal_length_that_share_their_input_are_read_at_their_own_places():
    """lm-eval 0.4.13 reads the first of such a group's rows instead of the last (its `_loglikelihood_tokens`
    gathers from the longest continuation's logits without cutting them), and gives another number."""
    model = tiny_llama()
    short, long = ScoreRequest((5, 6, 7), (8,)), ScoreRequest((5,), (6, 7, 9))
    together = scored(model, [short, long])
    for request in (short, long):
        expected = log_probs_alone(model, request.context, request.continuation)
        assert together[request].log_probs == pytest.approx(expected, abs=1e-5)


def test_the_model_is_itself_again_after_a_pack():
    model = loaded(tiny_llama()).model
    ids = torch.tensor([[4, 5, 6, 7]])
    with torch.inference_mode():
        before = model(input_ids=ids).logits
        implementation = model.config._attn_implementation
        scored(model, questions(documents=2))
        assert model.config._attn_implementation == implementation
        assert torch.equal(model(input_ids=ids).logits, before)


def test_half_precision_differs_by_rounding_alone():
    model = tiny_llama().to(torch.bfloat16)
    requests = questions()
    reference = scored(tiny_llama(), requests)
    packed_answers = scored(model, requests)
    alone = {
        one: Score(tuple(log_probs_alone(model, one.context, one.continuation)), False) for one in requests
    }
    assert furthest(packed_answers, reference) <= 2 * furthest(alone, reference)
