"""The convolution's kernel against torch's functions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.engine.native.trees.mamba import tree_conv
from tests.engine.native.kernels.where import DEVICE, OF_SCALE, assert_near, tables_over
from tests.engine.native.trees.test_mamba import some_sequences

from evalsuite.engine.native.trees.kernels.conv import path_conv  # isort: skip  (needs Triton)

CHAIN = [tuple(range(75))]


@settings(deadline=None, max_examples=20)
@given(
    sequences=some_sequences,
    channels=st.sampled_from([1, 6, 130]),
    width=st.integers(1, 5),
    biased=st.booleans(),
    activation=st.sampled_from([None, "silu", "swish", "gelu"]),
)
def test_it_is_that_of_torch(sequences, channels, width, biased, activation):
    tables, walk, tokens = tables_over(sequences)
    torch.manual_seed(0)
    x, weight = torch.randn(1, channels, tokens), torch.randn(channels, width)
    bias = torch.randn(channels) if biased else None
    found = path_conv(
        tables, x.to(DEVICE), weight.to(DEVICE), None if bias is None else bias.to(DEVICE), activation
    )
    assert found.shape == x.shape
    assert_near(found, tree_conv(walk, x, weight, bias, activation))


def test_it_reads_the_columns_that_a_mixer_cuts_from_its_projection():
    tables, walk, tokens = tables_over([*CHAIN, (*range(70), 200, 201, 202)])
    torch.manual_seed(0)
    projected, weight = torch.randn(1, tokens, 50, device=DEVICE), torch.randn(20, 1, 4, device=DEVICE)
    cut = projected.split([10, 20, 20], dim=-1)[1].transpose(1, 2)
    found = path_conv(tables, cut, weight.squeeze(1), activation="silu")
    assert_near(found, tree_conv(walk, cut.cpu(), weight.squeeze(1).cpu(), activation="silu"))


def test_half_precision_is_rounded_once():
    tables, walk, tokens = tables_over(CHAIN)
    torch.manual_seed(0)
    x, weight = torch.randn(1, 6, tokens).bfloat16(), torch.randn(6, 4).bfloat16()
    found = path_conv(tables, x.to(DEVICE), weight.to(DEVICE), activation="silu").cpu()
    assert found.dtype == torch.bfloat16
    exact = tree_conv(walk, x.float(), weight.float(), activation="silu")
    assert ((found.float() - exact).abs() <= 2**-8 * exact.abs() + OF_SCALE).all()


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_an_activation_that_is_not_in_the_kernel_is_computed_in_float32(half):
    tables, walk, tokens = tables_over(CHAIN)
    x, weight = torch.linspace(-3, 3, 6 * tokens).view(1, 6, -1).to(half), torch.ones(6, 3, dtype=half)
    found = path_conv(tables, x.to(DEVICE), weight.to(DEVICE), activation="relu")
    assert torch.equal(found.cpu(), tree_conv(walk, x, weight, activation="relu"))
