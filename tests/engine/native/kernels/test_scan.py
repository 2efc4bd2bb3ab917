"""The recurrence's kernels against torch's functions, which are tested against every path by itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.engine.native.trees.kernels import workspace
from evalsuite.engine.native.trees.kernels.workspace import heads_at_once
from evalsuite.engine.native.trees.mamba import tree_scan
from tests.engine.native.kernels.where import DEVICE, HALF_OF_SCALE, assert_near, tables_over, there
from tests.engine.native.trees import test_mamba as test_tree_mamba
from tests.engine.native.trees.test_mamba import (
    one_token_after_the_other,
    random_inputs,
    some_chunks,
    some_sequences,
)

from evalsuite.engine.native.trees.kernels.scan import path_scan  # isort: skip  (needs Triton)

SHAPES = {
    "few": (4, 3, 2, 5),
    "powers of two": (8, 8, 2, 16),
    "ones": (1, 1, 1, 1),
    "odd": (6, 17, 3, 33),
    "more heads of a group than a program takes": (36, 4, 2, 8),
    "several parts of a head": (2, 70, 1, 130),
}
"""Heads, width of a head, groups, size of the state."""

BRANCHING = [
    (*range(150),),
    (*range(70), *range(300, 330)),
    (*range(70), *range(400, 500), 1),
    (*range(70), *range(400, 500), 2, 3),
    (900, 901),
]


def inputs_of(shape: str, tokens: int) -> dict[str, torch.Tensor]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in zip(("HEADS", "WIDTH", "GROUPS", "STATE"), SHAPES[shape], strict=True):
            patch.setattr(test_tree_mamba, name, value)
        return random_inputs(tokens)


@settings(deadline=None, max_examples=12)
@given(
    sequences=some_sequences,
    chunk=some_chunks,
    shape=st.sampled_from(["few", "powers of two", "ones", "odd"]),
    softplus=st.booleans(),
    limit=st.sampled_from([(0.0, float("inf")), (0.2, 0.6)]),
    skipping=st.booleans(),
)
def test_it_is_that_of_torch(sequences, chunk, shape, softplus, limit, skipping):
    tables, walk, tokens = tables_over(sequences, chunk)
    inputs = inputs_of(shape, tokens)
    if not softplus:
        inputs |= {"dt": inputs["dt"].abs(), "dt_bias": None}
    if not skipping:
        inputs |= {"D": None}
    options = {"dt_softplus": softplus, "dt_limit": limit}
    assert_near(path_scan(tables, **there(inputs), **options), tree_scan(walk, **inputs, **options))


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_that_of_torch_across_blocks_of_full_length(shape):
    tables, walk, tokens = tables_over(BRANCHING)
    assert (len(tables.chunks), tables.levels) == (5, ((0, 1), (1, 2)))
    inputs = inputs_of(shape, tokens)
    found = path_scan(tables, **there(inputs), dt_softplus=True)
    assert (found.shape, found.dtype) == (inputs["hidden_states"].shape, torch.float32)
    assert_near(found, tree_scan(walk, **inputs, dt_softplus=True))


@pytest.mark.parametrize("heads_that_fit", [1, 3, 20])
def test_heads_are_computed_in_groups_whose_states_fit_into_the_workspace(heads_that_fit, monkeypatch):
    tables, _, tokens = tables_over(BRANCHING)
    inputs = there(inputs_of("more heads of a group than a program takes", tokens))
    expected = path_scan(tables, **inputs, dt_softplus=True)
    head_bytes = 4 * 4 * 8
    monkeypatch.setattr(workspace, "LARGEST_WORKSPACE", heads_that_fit * len(tables.chunks) * head_bytes)
    assert heads_at_once(len(tables.chunks), 36, head_bytes) == heads_that_fit
    assert torch.equal(path_scan(tables, **inputs, dt_softplus=True), expected)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_with_half_precision_inputs_nothing_else_is_rounded_to_their_type(half):
    """The result is that of float32 from the same inputs, up to the rounding of one factor of each
    product."""
    tables, walk, tokens = tables_over(BRANCHING)
    inputs = {
        name: value if name == "A" else value.to(half)
        for name, value in inputs_of("powers of two", tokens).items()
    }
    exact = tree_scan(walk, **{name: value.float() for name, value in inputs.items()}, dt_softplus=True)
    found = path_scan(tables, **there(inputs), dt_softplus=True)
    assert_near(found, exact, HALF_OF_SCALE)
    assert abs(((found.cpu() - exact) * exact).sum() / exact.square().sum()) <= HALF_OF_SCALE / 10, "a bias"


def test_it_reads_the_columns_that_a_mixer_cuts_from_its_projection():
    tables, walk, tokens = tables_over(BRANCHING)
    heads, width, groups, state = SHAPES["powers of two"]
    torch.manual_seed(0)
    sizes = [heads * width, groups * state, groups * state, heads]
    x, B, C, dt = torch.randn(1, tokens, sum(sizes)).split(sizes, dim=-1)
    inputs = {
        "hidden_states": x.unflatten(-1, (heads, width)),
        "dt": dt,
        "A": -torch.rand(heads),
        "B": B.unflatten(-1, (groups, state)),
        "C": C.unflatten(-1, (groups, state)),
    }
    assert not inputs["hidden_states"].is_contiguous()
    found = path_scan(tables, **there(inputs), dt_softplus=True)
    assert_near(found, tree_scan(walk, **inputs, dt_softplus=True))


def test_steps_that_forget_everything_cost_those_behind_them_no_digits():
    """A sum of decays in float32 would have lost the small ones after a large one."""
    length = 60
    inputs = inputs_of("few", length)
    dt = torch.full((1, length, 4), 0.01)
    dt[:, 3] = 3e4
    inputs |= {"dt": dt, "A": -torch.ones(4)}
    del inputs["D"], inputs["dt_bias"]
    tables, _, _ = tables_over([tuple(range(length))])
    found, exact = path_scan(tables, **there(inputs)).cpu()[:, 4:], one_token_after_the_other(**inputs)[:, 4:]
    assert (found - exact).abs().max() <= 1e-5 * exact.abs().max()


def test_small_steps_keep_their_digits():
    """1 + exp(-12) in float32 has lost most of exp(-12)."""
    tables, walk, tokens = tables_over([tuple(range(20))])
    inputs = inputs_of("few", tokens) | {"D": None, "dt_bias": torch.zeros(4)}
    inputs["dt"] = torch.full_like(inputs["dt"], -12.0)
    found = path_scan(tables, **there(inputs), dt_softplus=True).cpu()
    exact = tree_scan(walk, **inputs, dt_softplus=True)
    assert (found - exact).abs().max() <= 1e-5 * exact.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_number_is_not_made_one(dtype):
    tables, _, tokens = tables_over([tuple(range(70)), (900, 901)])
    inputs = inputs_of("few", tokens)
    inputs["dt"][0, 5] = float("nan")
    inputs["hidden_states"] = inputs["hidden_states"].to(dtype)
    found = path_scan(tables, **there(inputs), dt_softplus=True, dt_limit=(0.001, 1.0)).cpu()
    assert found[0, 5:70].isnan().all()
    assert not found[0, :5].isnan().any()


def test_no_tokens_at_all():
    tables, _, _ = tables_over([(1, 2)])
    inputs = there(inputs_of("few", 0))
    assert path_scan(tables, **inputs).shape == (1, 0, 4, 3)
    assert DEVICE in str(path_scan(tables, **inputs).device)
