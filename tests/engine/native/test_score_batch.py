import pytest
import torch

from evalsuite.engine.native.models.nemotron_h import restore_time_step_limit
from evalsuite.engine.native.score_batch import score_batch
from evalsuite.engine.planning.batches import score_rows
from evalsuite.types import ScoreRequest
from tests.engine.tiny import loaded, log_probs_alone, tiny_gpt2, tiny_llama, tiny_nemotron_h


def requests_of(seed=0, count=12):
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 20, (count, 2), generator=random).tolist()
    return [
        ScoreRequest(*(tuple(torch.randint(2, 260, (length,), generator=random).tolist()) for length in pair))
        for pair in lengths
    ]


@pytest.mark.parametrize("make", [tiny_llama, tiny_gpt2, tiny_nemotron_h])
def test_a_padded_batch_scores_as_each_request_alone(make):
    model = make()
    answers = dict(score_batch(loaded(model), score_rows(requests_of())))
    assert set(answers) == set(requests_of())
    for request, score in answers.items():
        expected = log_probs_alone(model, request.context, request.continuation)
        assert score.log_probs == pytest.approx(expected, abs=2e-5)


def test_requests_of_one_row_may_split_it_at_different_places():
    model = tiny_llama()
    whole = (*requests_of()[0].context, 7, 8, 9)
    together = [
        ScoreRequest(whole[:split], (*whole[split:], last)) for split in (1, 3, len(whole)) for last in (5, 6)
    ]
    rows = score_rows(together)
    assert len(rows) == 1
    for request, score in score_batch(loaded(model), rows):
        expected = log_probs_alone(model, request.context, request.continuation)
        assert score.log_probs == pytest.approx(expected, abs=1e-5)


def test_greedy_means_that_every_token_is_the_most_probable_one():
    model = tiny_llama()
    context = (5, 6, 7)
    with torch.inference_mode():
        best = int(model(input_ids=torch.tensor([context])).logits[0, -1].argmax())
        then = int(model(input_ids=torch.tensor([(*context, best)])).logits[0, -1].argmax())
    wanted = {(best,): True, (best, then): True, (best, (then + 1) % 260): False, ((best + 1) % 260,): False}
    rows = score_rows([ScoreRequest(context, continuation) for continuation in wanted])
    answers = score_batch(loaded(model), rows)
    assert {request.continuation: score.is_greedy for request, score in answers} == wanted


def test_a_token_that_ties_with_the_best_counts_as_greedy():
    model = tiny_llama()
    with torch.no_grad():
        model.lm_head.weight[10] = model.lm_head.weight[11] = model.model.norm.weight * 0
        model.lm_head.weight.zero_()
    answers = score_batch(loaded(model), score_rows([ScoreRequest((3,), (token,)) for token in (10, 11)]))
    assert [score.is_greedy for _, score in answers] == [True, True]


def test_a_mamba_hybrid_scores_the_same_whatever_stands_beside_it():
    model = tiny_nemotron_h()
    restore_time_step_limit(model)
    request, *others = requests_of(seed=1)
    alone = dict(score_batch(loaded(model), score_rows([request])))[request]
    beside = dict(score_batch(loaded(model), score_rows([request, *others])))[request]
    assert beside.log_probs == pytest.approx(alone.log_probs, abs=1e-5)
