"""The kernel that merges levels of attention against float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.native.kernels.where import DEVICE, there  # skips without Triton
from tests.engine.native.trees import varlen_plain

from evalsuite.engine.native.trees.kernels.merge import merge_in_place  # isort: skip

OF_SCALE = {torch.float32: 2e-6, torch.bfloat16: 4e-3}
"""Largest difference from float64, as a share of the largest value."""


def some(
    *, tokens: int, rows: int, heads: int, width: int, dtype: torch.dtype, spread: float, seed: int
) -> dict:
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random)

    return {
        "result": normal(tokens, heads, width).to(dtype),
        "normaliser": normal(heads, tokens) * spread,
        "queries": torch.randperm(tokens, generator=random)[:rows],
        "part": normal(rows, heads, width).to(dtype),
        "log": normal(heads, rows) * spread,
    }


def assert_merged(inputs: dict) -> None:
    dtype = inputs["result"].dtype
    expected, logs = varlen_plain.merged(**inputs)
    merged = there(inputs)
    merge_in_place(**merged)
    assert merged["result"].dtype == dtype
    scale, wide = expected.abs().max().item(), max(1.0, logs.abs().max().item())
    torch.testing.assert_close(
        merged["result"].cpu().double(), expected, rtol=0, atol=OF_SCALE[dtype] * scale
    )
    torch.testing.assert_close(
        merged["normaliser"].cpu().double(), logs, rtol=0, atol=OF_SCALE[torch.float32] * wide
    )


@settings(deadline=None, max_examples=25)
@given(
    tokens=st.integers(1, 12),
    heads=st.sampled_from([1, 3, 8, 40]),
    width=st.sampled_from([8, 64, 80, 128]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    spread=st.sampled_from([0.5, 20.0]),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_rows_anywhere(tokens, heads, width, dtype, spread, seed, data):
    rows = data.draw(st.integers(1, tokens))
    assert_merged(
        some(tokens=tokens, rows=rows, heads=heads, width=width, dtype=dtype, spread=spread, seed=seed)
    )


@pytest.mark.parametrize("dtype", OF_SCALE, ids=str)
def test_adjacent_rows_of_heads_that_are_cut_from_wider_ones(dtype):
    inputs = some(tokens=9, rows=5, heads=4, width=48, dtype=dtype, spread=3.0, seed=1)
    inputs["queries"] = slice(3, 8)
    inputs["result"], inputs["part"] = inputs["result"][..., :40], inputs["part"][..., :40]
    untouched = inputs["result"].clone()
    assert_merged(inputs)
    assert DEVICE != "cpu" or torch.equal(inputs["result"][:3], untouched[:3])
