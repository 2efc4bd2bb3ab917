"""The kernels of a decode step against their definitions in float64: what rows read, and what slots hold."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.activations import ACT2FN

from tests.engine.native.kernels.where import DEVICE, there

from evalsuite.engine.native.slots.kernels.conv_update import conv_update  # isort: skip  (needs Triton)
from evalsuite.engine.native.slots.kernels.state_update import state_update  # isort: skip

OF_SCALE = 2e-6
"""Largest difference from float64 before a result is rounded to its type, relative to the largest result."""

ROUNDING = {torch.float32: 0.0, torch.bfloat16: 2**-8, torch.float16: 2**-11}
"""Largest share of a result that rounding costs: half of its last bit."""

SHAPES = {
    "few": (4, 3, 2, 5),
    "ones": (1, 1, 1, 1),
    "odd": (6, 17, 3, 33),
    "Nemotron-H 8B and Mamba-2, a group": (16, 64, 1, 128),
    "Nemotron-H 47B and 56B, a group": (8, 64, 1, 256),
    "Bamba and Granite": (4, 64, 1, 128),
    "Falcon-H1": (4, 128, 2, 256),
    "Zamba2": (6, 64, 2, 64),
}
"""Heads, width of a head, groups, values of a channel's state."""
FEW = ["few", "ones", "odd"]


def assert_near(found: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> None:
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(
        found.cpu().double(), expected.double(), rtol=ROUNDING[dtype], atol=OF_SCALE * scale
    )


def slots_of(rows: int, count: int, random: torch.Generator | None = None) -> torch.Tensor:
    """Distinct slots of the rows, in no order."""
    return torch.randperm(count, generator=random)[:rows]


def unused(slots: torch.Tensor, count: int) -> list[int]:
    return sorted(set(range(count)) - set(slots.tolist()))


def update_inputs(shape: str, rows: int, count: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    heads, width, groups, numbers = SHAPES[shape]
    return {
        "state": torch.randn(count, heads, width, numbers),
        "hidden_states": torch.randn(rows, heads, width).to(dtype),
        "dt": (3 * torch.randn(rows, heads) - 2).to(dtype),
        "A": -torch.rand(heads) * 16 - 0.1,
        "B": torch.randn(rows, groups, numbers).to(dtype),
        "C": torch.randn(rows, groups, numbers).to(dtype),
        "D": torch.randn(heads).to(dtype),
        "dt_bias": torch.randn(heads).to(dtype),
        "z": torch.randn(rows, heads, width).to(dtype),
    }


def by_definition(
    state, hidden_states, dt, A, B, C, D=None, dt_bias=None, z=None, *, dt_softplus, dt_limit, slots
):
    """Outputs and new states of the rows, in float64."""
    x, step, shared = hidden_states.double(), dt.double(), len(A) // B.shape[1]
    step = step if dt_bias is None else step + dt_bias.double()
    step = (torch.nn.functional.softplus(step) if dt_softplus else step).clamp(*dt_limit)
    B, C = (part.double().repeat_interleave(shared, 1) for part in (B, C))
    decay = (step * A.double()).exp()[..., None, None]
    after = decay * state[slots].double() + torch.einsum("rh,rhp,rhn->rhpn", step, x, B)
    output = torch.einsum("rhpn,rhn->rhp", after, C)
    output = output if D is None else output + D.double()[:, None] * x
    return output if z is None else output * torch.nn.functional.silu(z.double()), after


def assert_updates(inputs: dict, slots: torch.Tensor, dtype: torch.dtype, **options) -> None:
    before = inputs["state"].clone()
    expected, states = by_definition(**inputs, **options, slots=slots)
    on_device = there(inputs | {"slots": slots})
    found = state_update(**on_device, **options)
    assert found.dtype == dtype
    assert found.shape == expected.shape
    assert_near(found, expected, dtype)
    # States are float32 whatever the type of the inputs.
    assert_near(on_device["state"][slots], states, torch.float32)
    rest = unused(slots, len(before))
    assert torch.equal(on_device["state"][rest].cpu(), before[rest])


@settings(deadline=None, max_examples=25)
@given(
    shape=st.sampled_from(FEW),
    rows=st.integers(1, 4),
    free=st.integers(0, 3),
    dtype=st.sampled_from(list(ROUNDING)),
    softplus=st.booleans(),
    limit=st.sampled_from([(0.0, float("inf")), (0.2, 0.6)]),
    without=st.sets(st.sampled_from(["D", "dt_bias", "z"])),
    seed=st.integers(0, 100),
)
def test_the_recurrence_of_any_options(shape, rows, free, dtype, softplus, limit, without, seed):
    torch.manual_seed(seed)
    inputs = update_inputs(shape, rows, rows + free, dtype)
    if not softplus:
        inputs |= {"dt": inputs["dt"].abs(), "dt_bias": None}
    inputs |= dict.fromkeys(without)
    slots = slots_of(rows, rows + free)
    assert_updates(inputs, slots, dtype, dt_softplus=softplus, dt_limit=limit)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [name for name in SHAPES if name not in FEW])
def test_the_recurrence_of_each_family(shape, dtype):
    torch.manual_seed(0)
    inputs, slots = update_inputs(shape, 2, 4, dtype), torch.tensor([3, 1])
    inputs |= {} if shape == "Falcon-H1" else {"z": None}
    assert_updates(inputs, slots, dtype, dt_softplus=True, dt_limit=(0.0, float("inf")))


def test_the_recurrence_of_tiny_and_huge_steps():
    """exp(-30) is lost beside 1, and exp(90) is infinite in float32."""
    torch.manual_seed(0)
    inputs = update_inputs("few", 3, 3, torch.float32) | {"dt_bias": None, "D": None, "z": None}
    inputs["dt"] = torch.tensor([-30.0, -8.0, -1.0, 0.0, 1.0, 19.0, 21.0, 90.0, -90.0, 2.0, 3.0, 4.0]).view(
        3, 4
    )
    small = {name: torch.ones_like(inputs[name]) for name in ("hidden_states", "B", "C")}
    small = inputs | small | {"dt": torch.linspace(-12, -7, 12).view(3, 4)}
    assert_updates(inputs, torch.arange(3), torch.float32, dt_softplus=True, dt_limit=(0.0, float("inf")))
    small["state"] = torch.zeros_like(inputs["state"])
    found = state_update(**there(small), dt_softplus=True)[..., 0].cpu().double()
    steps = torch.nn.functional.softplus(small["dt"].double())
    torch.testing.assert_close(found, steps * inputs["B"].shape[-1], rtol=2e-6, atol=0)


@settings(deadline=None, max_examples=25)
@given(
    rows=st.integers(1, 4),
    free=st.integers(0, 3),
    channels=st.sampled_from([1, 6, 300]),
    kept=st.integers(1, 5),
    shorter=st.integers(0, 2),
    biased=st.booleans(),
    activation=st.sampled_from([None, "silu", "swish", "gelu"]),
    dtype=st.sampled_from(list(ROUNDING)),
    by_index=st.booleans(),
)
def test_the_convolution(rows, free, channels, kept, shorter, biased, activation, dtype, by_index):
    torch.manual_seed(rows + 10 * channels)
    width, count = max(1, kept - shorter), rows + free
    state = torch.randn(count, channels, kept).to(dtype)
    projected = torch.randn(rows, 1, channels + 7).to(dtype)
    new = projected[..., 3 : channels + 3].transpose(1, 2)  # as a mixer cuts it from its projection
    weight = torch.randn(channels, width).to(dtype)
    bias = torch.randn(channels).to(dtype) if biased else None
    slots = slots_of(rows, count) if by_index else torch.arange(rows)
    after = torch.cat([state[slots], new], dim=-1)[..., 1:]
    expected = (after[..., kept - width :].double() * weight.double()).sum(-1, keepdim=True)
    expected = expected if bias is None else expected + bias.double()[:, None]
    expected = expected if activation is None else ACT2FN[activation](expected)
    on_device = there({"state": state.clone(), "weight": weight, "bias": bias, "slots": slots})
    found = conv_update(
        projected.to(DEVICE)[..., 3 : channels + 3].transpose(1, 2),
        on_device["state"],
        on_device["weight"],
        on_device["bias"],
        activation,
        on_device["slots"] if by_index else None,
    )
    assert found.shape == (rows, channels, 1)
    assert found.dtype == dtype
    assert_near(found, expected, dtype)
    assert torch.equal(on_device["state"][slots].cpu(), after)
    rest = unused(slots, count)
    assert torch.equal(on_device["state"][rest].cpu(), state[rest])
