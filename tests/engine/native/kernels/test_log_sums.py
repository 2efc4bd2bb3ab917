"""The kernel behind log-probabilities against torch's log-softmax."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.engine.native import kernels
from evalsuite.engine.native.score_batch import read_targets
from tests.engine.native.kernels.where import DEVICE, INTERPRETED, OF_SCALE  # skips without Triton

from evalsuite.engine.native.kernels.log_sums import difference_in_a_trial, log_sums_of  # isort: skip


def by_torch(logits, rows, tokens) -> tuple[torch.Tensor, torch.Tensor]:
    logits = logits.float()
    best = logits[rows, tokens] >= logits.amax(-1)[rows]
    return logits.log_softmax(-1)[rows, tokens], best.float()


def by_kernel(logits, rows, tokens) -> tuple[torch.Tensor, torch.Tensor]:
    read = read_targets(logits.to(DEVICE), rows, tokens, rounded=False, path="kernels")
    return read[0].cpu(), read[1].cpu()


@settings(deadline=None, max_examples=30)
@given(
    rows=st.integers(1, 4),
    vocabulary=st.sampled_from([1, 2, 260, 4096, 4097, 9000]),
    spread=st.sampled_from([0.1, 30.0]),
    half=st.booleans(),
    seed=st.integers(0, 9),
)
def test_it_reads_what_torch_reads(rows, vocabulary, spread, half, seed):
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, vocabulary, generator=random) * spread
    logits = logits.bfloat16() if half else logits
    row = torch.randint(rows, (7,), generator=random)
    token = torch.cat([torch.randint(vocabulary, (6,), generator=random), logits[row[-1]].argmax()[None]])
    (found, best), (expected, expected_best) = by_kernel(logits, row, token), by_torch(logits, row, token)
    torch.testing.assert_close(found, expected, rtol=0, atol=OF_SCALE * max(1, spread))
    assert torch.equal(best, expected_best)


def test_every_one_of_equally_good_tokens_is_the_best():
    logits = torch.tensor([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]])
    rows, tokens = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 1, 2, 0, 2])
    assert by_kernel(logits, rows, tokens)[1].tolist() == [0, 1, 1, 1, 0]


def test_tokens_that_cannot_come_count_for_nothing():
    logits = torch.full((2, 5000), -float("inf"))
    logits[0, 4999], logits[1, :2] = 2.0, 1.0
    rows, tokens = torch.tensor([0, 0, 1]), torch.tensor([4999, 0, 1])
    found, best = by_kernel(logits, rows, tokens)
    torch.testing.assert_close(found, torch.tensor([0.0, -float("inf"), -0.6931472]))
    assert best.tolist() == [1, 0, 1]


def test_no_number_is_not_made_one():
    logits = torch.zeros(2, 300)
    logits[0, 200] = float("nan")
    rows, tokens = torch.tensor([0, 0, 1]), torch.tensor([1, 200, 1])
    found, best = by_kernel(logits, rows, tokens)
    assert found.isnan().tolist() == [True, True, False]
    assert best.tolist() == [0, 0, 1]


def test_no_rows_and_rows_of_a_wider_matrix():
    assert [one.shape for one in log_sums_of(torch.empty(0, 9, device=DEVICE))] == [(0,), (0,)]
    wide = torch.randn(5, 40, device=DEVICE)
    for cut in (wide[:, :30], wide.T[3:]):
        torch.testing.assert_close(log_sums_of(cut)[0], cut.logsumexp(-1))


def test_its_trial_passes_where_it_runs(monkeypatch):
    assert difference_in_a_trial(DEVICE) <= OF_SCALE
    if not INTERPRETED:
        assert kernels.kernels_unsupported_reason(DEVICE) == ""
