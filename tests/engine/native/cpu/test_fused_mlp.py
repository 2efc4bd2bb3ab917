"""Fused gated layers give what the layers give, and only layers of that form are fused."""

import pytest
import torch
from transformers import GemmaConfig, LlamaConfig
from transformers.models.gemma.modeling_gemma import GemmaMLP
from transformers.models.llama.modeling_llama import LlamaMLP

from evalsuite.engine.native.cpu.fused_mlp import fuse_gates
from evalsuite.engine.native.cpu.onednn import lay_out_weights, runs_in, use_onednn
from evalsuite.engine.native.loading.load import ready
from tests.engine.tiny import tiny_llama

PLENTY = 2**40
BFLOAT16 = pytest.mark.skipif(
    not runs_in(torch.bfloat16), reason="this processor has no bfloat16 products that oneDNN uses"
)


def llama_layer(activation="silu", bias=False, width=24, inner=40):
    config = LlamaConfig(
        hidden_size=width,
        intermediate_size=inner,
        hidden_act=activation,
        mlp_bias=bias,
        num_attention_heads=2,
        num_hidden_layers=1,
    )
    torch.manual_seed(3)
    return LlamaMLP(config)


def fused(layer):
    use_onednn(layer)
    fuse_gates(layer)
    return layer


def is_fused(layer):
    return "forward" in layer.__dict__


@pytest.mark.parametrize("laid_out", [False, True])
@pytest.mark.parametrize("shape", [(1, 7, 24), (2, 5, 24), (1, 1, 24), (300, 24), (0, 24), (1, 0, 24)])
@pytest.mark.parametrize(
    ("activation", "bias"), [("silu", False), ("silu", True), ("gelu", False), ("gelu_pytorch_tanh", True)]
)
@torch.inference_mode()
def test_a_fused_layer_gives_the_same(activation, bias, shape, laid_out):
    layer, hidden = llama_layer(activation, bias), torch.randn(shape)
    expected = layer(hidden)
    assert is_fused(fused(layer))
    if laid_out:
        lay_out_weights(layer, PLENTY)
    torch.testing.assert_close(layer(hidden), expected, atol=1e-6, rtol=1e-5)


@torch.inference_mode()
def test_gemmas_layer_is_one_of_them():
    config = GemmaConfig(hidden_size=24, intermediate_size=40, num_attention_heads=2, head_dim=12)
    layer = GemmaMLP(config)
    hidden = torch.randn(1, 6, 24)
    expected = layer(hidden)
    assert is_fused(fused(layer))
    torch.testing.assert_close(layer(hidden), expected, atol=1e-6, rtol=1e-5)


def test_a_layer_that_does_something_else_with_the_same_parts_is_left_alone():
    class Doubled(LlamaMLP):
        def forward(self, x):
            return self.down_proj(2 * self.act_fn(self.gate_proj(x)) * self.up_proj(x))

    class Swapped(LlamaMLP):
        def forward(self, x):
            return self.down_proj(self.act_fn(self.up_proj(x)) * self.gate_proj(x))

    config = LlamaConfig(hidden_size=24, intermediate_size=40, num_attention_heads=2, num_hidden_layers=1)
    for kind in (Doubled, Swapped):
        assert not is_fused(fused(kind(config)))


DTYPES = [torch.float32, pytest.param(torch.bfloat16, marks=BFLOAT16)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("limit", [1e-3, 0.1, 7.0, 100.0, 900.0])
@pytest.mark.parametrize("part", ["gate", "up", "product", "input"])
def test_a_layer_that_limits_a_part_is_left_alone(part, limit, dtype):
    class Clamped(LlamaMLP):
        def forward(self, x):
            def held(name, value):
                return value.clamp(max=limit) if name == part else value

            x = held("input", x)
            up = held("up", self.up_proj(x))
            return self.down_proj(held("product", self.act_fn(held("gate", self.gate_proj(x))) * up))

    torch.manual_seed(3)
    config = LlamaConfig(hidden_size=24, intermediate_size=40, num_attention_heads=2, num_hidden_layers=1)
    assert not is_fused(fused(Clamped(config).to(dtype)))


@pytest.mark.parametrize("size", [1e-4, 1.0, 50.0])
def test_weights_of_any_size_are_fused(size):
    layer = llama_layer("gelu", bias=True)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.mul_(size)
    assert is_fused(fused(layer))


@BFLOAT16
@pytest.mark.parametrize("laid_out", [False, True])
@pytest.mark.parametrize("shape", [(1, 7, 24), (1, 1, 24), (300, 24), (1, 0, 24)])
@pytest.mark.parametrize("activation", ["silu", "gelu", "gelu_pytorch_tanh"])
@torch.inference_mode()
def test_a_fused_bfloat16_layer_is_no_less_exact_than_the_separate_operations(activation, shape, laid_out):
    layer, hidden = llama_layer(activation).to(torch.bfloat16), torch.randn(shape).to(torch.bfloat16)
    separate = layer(hidden)
    exact = llama_layer(activation).to(torch.bfloat16).double()(hidden.double())
    assert is_fused(fused(layer))
    if laid_out:
        lay_out_weights(layer, PLENTY)
    found = layer(hidden)
    assert found.dtype == torch.bfloat16
    error, before = ((part - exact).norm() for part in (found, separate))
    assert error <= 1.1 * before


def test_activations_that_onednn_lacks_and_float16_are_left_alone():
    assert not is_fused(fused(llama_layer("relu2")))
    assert not is_fused(fused(llama_layer().to(torch.float16)))


def test_layers_that_do_not_run_through_onednn_are_left_alone():
    layer = llama_layer()
    fuse_gates(layer)
    assert not is_fused(layer)


def test_all_gated_layers_of_a_decoder_take_part():
    model = ready(tiny_llama(), "cpu").model
    assert all(is_fused(layer.mlp) for layer in model.model.layers)
