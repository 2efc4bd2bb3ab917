import pytest
import torch

from evalsuite.engine.native.models import support_for
from evalsuite.engine.native.models.nemotron_h import restore_time_step_limit
from evalsuite.engine.native.score_batch import score_batch
from evalsuite.engine.planning.batches import score_rows
from evalsuite.types import ScoreRequest
from tests.engine.tiny import loaded, tiny_nemotron_h

TEXT = tuple(torch.randint(2, 260, (40,), generator=torch.Generator().manual_seed(0)).tolist())


@torch.inference_mode()
def token_by_token(model):
    """Log-probabilities of TEXT[1:], one step of decoding per token."""
    cache, log_probs = None, []
    for step, token in enumerate(TEXT[:-1]):
        output = model(
            input_ids=torch.tensor([[token]]),
            position_ids=torch.tensor([[step]]),
            past_key_values=cache,
            use_cache=True,
        )
        cache = output.past_key_values
        log_probs.append(output.logits[0, -1].log_softmax(-1)[TEXT[step + 1]].item())
    return log_probs


def in_one_pass(model):
    ((_, score),) = score_batch(loaded(model), score_rows([ScoreRequest(TEXT[:1], TEXT[1:])]))
    return score.log_probs


def furthest(left, right):
    return max(abs(a - b) for a, b in zip(left, right, strict=True))


def test_one_pass_equals_decoding_once_the_time_step_limit_is_restored():
    model = tiny_nemotron_h()
    before = in_one_pass(model)
    restore_time_step_limit(model)
    after = in_one_pass(model)
    decoded = token_by_token(model)
    assert furthest(after, decoded) < 2e-5
    assert furthest(before, decoded) > 1e-3
    assert furthest(before, after) > 1e-3


def test_the_correction_is_told_once_and_not_again_where_nothing_is_to_be_corrected():
    model = tiny_nemotron_h()
    (note,) = restore_time_step_limit(model)
    assert "time step limit" in note
    assert restore_time_step_limit(model) == ()


@pytest.mark.parametrize("limit", [(0.0, float("inf")), (0.01, 0.1)])
def test_the_limit_is_the_configurations(limit):
    model = tiny_nemotron_h()
    model.config.time_step_limit = list(limit)
    restore_time_step_limit(model)
    mixers = [layer.mixer for layer in model.model.layers if hasattr(layer.mixer, "time_step_limit")]
    assert len(mixers) == 3
    assert {mixer.time_step_limit for mixer in mixers} == {limit}


def test_families_that_need_nothing_have_no_record_of_their_own():
    assert support_for("llama").model_type == ""
    assert support_for("llama").patch(tiny_nemotron_h()) == ()
