import pytest
import torch

from evalsuite.engine.native.forward import run_at
from evalsuite.engine.native.head import float32_linear, head_at
from tests.engine.tiny import VOCABULARY, loaded, tiny_gpt2, tiny_llama

IDS = torch.randint(2, VOCABULARY, (3, 7), generator=torch.Generator().manual_seed(0))
ROWS, COLUMNS = torch.tensor([0, 2, 2]), torch.tensor([6, 0, 3])


@pytest.mark.parametrize("make", [tiny_llama, tiny_gpt2])
@torch.inference_mode()
def test_logits_at_the_wanted_positions_equal_those_of_a_whole_forward(make):
    model = make()
    expected = model(input_ids=IDS).logits[ROWS, COLUMNS]
    logits, cache = run_at(loaded(model), IDS, ROWS, COLUMNS, use_cache=False)
    torch.testing.assert_close(logits, expected)
    assert cache is None


@torch.inference_mode()
def test_the_head_sees_only_the_wanted_positions_and_is_itself_again_afterwards():
    model = tiny_llama()
    with head_at(model, ROWS, COLUMNS) as use:
        assert model(input_ids=IDS).logits.shape == (1, 3, VOCABULARY)
    assert use.gathered
    assert model(input_ids=IDS).logits.shape == (3, 7, VOCABULARY)


@torch.inference_mode()
def test_a_model_without_a_head_of_its_own_is_read_from_its_full_logits(monkeypatch):
    model = tiny_llama()
    expected = model(input_ids=IDS).logits[ROWS, COLUMNS]
    ready = loaded(model)
    monkeypatch.setattr(model, "get_output_embeddings", lambda: None)
    torch.testing.assert_close(run_at(ready, IDS, ROWS, COLUMNS)[0], expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("biased", [False, True])
def test_a_half_precision_head_adds_up_in_float32(dtype, biased):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn((2, 3, 16), generator=generator).to(dtype)
    weight = torch.randn((9000, 16), generator=generator).to(dtype)
    bias = torch.randn(9000, generator=generator).to(dtype) if biased else None
    logits = float32_linear(hidden, weight, bias)
    expected = hidden.double() @ weight.double().T + (bias.double() if biased else 0)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits.double(), expected, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_logits_of_a_bfloat16_model_are_float32():
    logits, _ = run_at(loaded(tiny_llama().to(torch.bfloat16)), IDS, ROWS, COLUMNS, use_cache=False)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())
