"""The scan of prompts in slots against the recurrence in float64, and tiny hybrids that use it."""

import inspect
from dataclasses import replace

import pytest
import torch
from transformers.models.bamba.modeling_bamba import mamba2_chunk_scan

from evalsuite.engine.native.differences import allowed_difference
from evalsuite.engine.native.slots import steps
from evalsuite.engine.native.slots.fit import fit_for_slots, largest_difference
from evalsuite.engine.native.slots.forward import SlotModel
from evalsuite.engine.native.trees.kernels import workspace
from tests.engine.native.kernels.test_decode_models import FAMILIES, OF_SPREAD, by
from tests.engine.native.kernels.where import assert_near, there

from evalsuite.engine.native.slots.kernels.prompt_scan import prompt_scan  # isort: skip  (needs Triton)

LENGTHS = [1, 63, 64, 65, 200]
"""Tokens of each row: on both sides of a block's end, and several blocks."""
WITH_STATES = {"dt_softplus": True, "return_final_states": True}


def inputs_of(rows: int, length: int, *, heads=6, width=17, groups=3, state=33) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(length)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw)

    return {
        "hidden_states": normal(rows, length, heads, width),
        "dt": normal(rows, length, heads),
        "A": -torch.rand(heads, generator=draw),
        "B": normal(rows, length, groups, state),
        "C": normal(rows, length, groups, state),
        "D": normal(heads),
        "dt_bias": normal(heads),
        "initial_states": normal(rows, heads, width, state),
    }


def in_float64(inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """One token after the other: (rows, tokens, heads, width), and states (rows, heads, width, state)."""
    names = ("hidden_states", "dt", "A", "B", "C", "D", "dt_bias", "initial_states")
    x, dt, A, B, C, D, bias, held = (inputs[name].double() for name in names)
    B, C = (part.repeat_interleave(x.shape[2] // part.shape[2], dim=2) for part in (B, C))
    step = torch.nn.functional.softplus(dt + bias)
    outputs = []
    for at in range(x.shape[1]):
        written = (step[:, at, :, None] * x[:, at])[..., None] * B[:, at, :, None]
        held = held * torch.exp(step[:, at] * A)[..., None, None] + written
        outputs.append((held * C[:, at, :, None]).sum(-1) + D[:, None] * x[:, at])
    return torch.stack(outputs, dim=1), held


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("rows", [1, 3])
def test_outputs_and_final_states_are_those_of_the_recurrence(rows, length):
    inputs = inputs_of(rows, length)
    found = prompt_scan(**there(inputs), chunk_size=8, **WITH_STATES)
    for ours, exact in zip(found, in_float64(inputs), strict=True):
        assert (ours.shape, ours.dtype) == (exact.shape, torch.float32)
        assert (ours.double().cpu() - exact).abs().max() <= 2e-6 * exact.abs().max()


def test_without_initial_states_rows_begin_with_zeros():
    inputs = inputs_of(2, 70)
    inputs["initial_states"].zero_()
    without = there(inputs) | {"initial_states": None}
    assert_near(prompt_scan(**without, dt_softplus=True), in_float64(inputs)[0].float())


def test_it_takes_the_place_of_transformers_function():
    inputs = inputs_of(2, 130)
    options = {"chunk_size": 16, "dt_limit": (0.2, 0.6), "z": None, "seq_idx": None, **WITH_STATES}
    own = inspect.unwrap(mamba2_chunk_scan)(**inputs, **options)
    for ours, theirs in zip(prompt_scan(**there(inputs), **options), own, strict=True):
        assert_near(ours, theirs)


@pytest.mark.parametrize("heads_that_fit", [1, 4])
def test_heads_are_computed_in_groups_whose_states_fit_into_the_workspace(heads_that_fit, monkeypatch):
    inputs = there(inputs_of(2, 130, heads=12, width=4, groups=2, state=8))
    expected = prompt_scan(**inputs, **WITH_STATES)
    states = 2 + 2 * 3  # the initial ones, and those of chunks
    monkeypatch.setattr(workspace, "LARGEST_WORKSPACE", heads_that_fit * states * 4 * 4 * 8)
    for again, first in zip(prompt_scan(**inputs, **WITH_STATES), expected, strict=True):
        assert torch.equal(again, first)


def test_padding_leaves_a_state_as_it_is():
    inputs = inputs_of(1, 100)
    by_token = ("hidden_states", "dt", "B", "C")
    short = {name: part[:, :37] if name in by_token else part for name, part in inputs.items()}
    inputs["dt"][:, 37:] = -1e4
    padded, exact = (prompt_scan(**there(given), **WITH_STATES)[1] for given in (inputs, short))
    assert_near(padded, exact.cpu())


@pytest.fixture
def scans(monkeypatch) -> list[str]:
    """An item for each call of the kernels."""
    found, factory = [], steps._scan_by_kernel

    def make(original):
        def counted(*args, **options):
            found.append("scan")
            return factory(original)(*args, **options)

        return counted

    monkeypatch.setattr(steps, "_scan_by_kernel", make)
    return found


def by_prompts(path, name, dtype=torch.float32):
    loaded = by("model", name, dtype)
    return replace(loaded, paths=loaded.paths.using("prompts", path))


@pytest.mark.parametrize("name", FAMILIES)
def test_prompts_are_those_of_passes_without_a_cache(name, scans):
    model = SlotModel.of(by_prompts("kernels", name))
    own = largest_difference(SlotModel.of(by_prompts("model", name)))
    assert largest_difference(model) <= own + OF_SPREAD
    assert len(scans) >= 4 * len(model.mixers), "short and long: a prefix and prompts each"


@pytest.mark.parametrize("name", ["nemotron_h", "falcon_h1, no norm", "zamba2"])
def test_half_precision_is_as_near_as_by_the_models_own_scan(name, scans):
    own = largest_difference(SlotModel.of(by_prompts("model", name, torch.bfloat16)))
    found = largest_difference(SlotModel.of(by_prompts("kernels", name, torch.bfloat16)))
    assert found < min(allowed_difference(torch.bfloat16), 1.5 * own + 0.01)
    assert scans


def test_half_precision_passes_the_trial(scans):
    assert fit_for_slots(by_prompts("kernels", "nemotron_h", torch.bfloat16))[1] == ""
    assert scans
