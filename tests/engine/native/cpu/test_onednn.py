"""Matrix products by oneDNN are those of torch, and only where they may be."""

import pytest
import torch

from evalsuite.engine.native.cpu.onednn import lay_out_weights, runs_in, use_onednn
from evalsuite.engine.native.loading.load import ready
from tests.engine.tiny import tiny_gpt2, tiny_llama

PLENTY = 2**40


def product(layer, inputs):
    with torch.inference_mode():
        return layer(inputs)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(7, 24), (2, 5, 24), (1, 1, 24), (0, 24), (1, 0, 24)])
def test_a_product_is_torchs_own(bias, shape):
    torch.manual_seed(1)
    layer, inputs = torch.nn.Linear(24, 40, bias=bias), torch.randn(shape)
    expected = product(layer, inputs)
    use_onednn(layer)
    assert "forward" in layer.__dict__
    torch.testing.assert_close(product(layer, inputs), expected, atol=1e-5, rtol=0)


def test_strided_inputs_are_read_in_order():
    layer, inputs = torch.nn.Linear(24, 8), torch.randn(24, 6)
    expected = product(layer, inputs.T)
    use_onednn(layer)
    torch.testing.assert_close(product(layer, inputs.T), expected, atol=1e-5, rtol=0)


def test_new_weights_count_at_once():
    layer, inputs = torch.nn.Linear(24, 8), torch.randn(3, 24)
    use_onednn(layer)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(2)
    assert product(layer, inputs).eq(2).all()


BFLOAT16 = pytest.mark.skipif(
    not runs_in(torch.bfloat16), reason="this processor has no bfloat16 products that oneDNN uses"
)


@BFLOAT16
@pytest.mark.parametrize("rows", [0, 1, 2, 7, 16, 33, 300])
@pytest.mark.parametrize("bias", [False, True])
def test_a_bfloat16_product_is_torchs_own_also_with_laid_out_weights(rows, bias):
    torch.manual_seed(2)
    layer = torch.nn.Linear(48, 72, bias=bias, dtype=torch.bfloat16)
    inputs = torch.randn(1, rows, 48, dtype=torch.bfloat16)
    expected = product(layer, inputs)
    use_onednn(layer)
    assert product(layer, inputs).equal(expected)
    lay_out_weights(layer, PLENTY)
    assert layer.__dict__["laid_out"].layout == torch._mkldnn
    assert product(layer, inputs).equal(expected)


@BFLOAT16
def test_a_bfloat16_model_keeps_its_head_in_float32():
    model = ready(tiny_llama().to(torch.bfloat16), "cpu").model
    head, hidden = model.lm_head, torch.randn(1, 5, model.config.hidden_size, dtype=torch.bfloat16)
    before = product(head, hidden)
    lay_out_weights(model, PLENTY)
    assert head.__dict__["laid_out"].dtype == torch.float32
    after = product(head, hidden)
    exact = hidden.double() @ head.weight.double().T
    assert before.dtype == after.dtype == torch.float32
    torch.testing.assert_close(after.double(), exact, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(after, before, atol=1e-6, rtol=1e-6)
    assert product(head, hidden[:, :0]).shape == (1, 0, model.config.vocab_size)


def test_float16_and_layers_of_other_kinds_are_left_alone():
    class Scaled(torch.nn.Linear):
        def forward(self, inputs):
            return 3 * super().forward(inputs)

    half, scaled = torch.nn.Linear(4, 4, dtype=torch.float16), Scaled(4, 4)
    for layer in (half, scaled):
        use_onednn(layer)
        assert "forward" not in layer.__dict__
    assert not any(
        "forward" in module.__dict__ for module in ready(tiny_gpt2(), "cpu").model.transformer.modules()
    )


def test_all_layers_of_a_decoder_take_part():
    model = ready(tiny_llama(), "cpu").model
    layers = [module for module in model.modules() if type(module) is torch.nn.Linear]
    assert len(layers) == 15
    assert all("forward" in layer.__dict__ for layer in layers)


@pytest.mark.parametrize("rows", [1, 2, 7, 32, 64, 65, 300])
@pytest.mark.parametrize("bias", [False, True])
def test_laid_out_weights_give_the_same(rows, bias):
    torch.manual_seed(2)
    layer, inputs = torch.nn.Linear(48, 72, bias=bias), torch.randn(rows, 48)
    expected = product(layer, inputs)
    use_onednn(layer)
    lay_out_weights(layer, PLENTY)
    assert layer.__dict__["laid_out"].layout == torch._mkldnn
    torch.testing.assert_close(product(layer, inputs), expected, atol=1e-5, rtol=0)


def test_no_copies_are_made_without_room():
    layer = torch.nn.Linear(48, 72)
    use_onednn(layer)
    lay_out_weights(layer, 2 * layer.weight.nbytes - 1)
    assert "laid_out" not in layer.__dict__


def test_layers_that_do_not_run_through_onednn_get_no_copies():
    layer = torch.nn.Linear(48, 72)
    lay_out_weights(layer, PLENTY)
    assert "laid_out" not in layer.__dict__
