"""Which functions compute Mamba-2's convolution and state update in a decode step over slots.

transformers' mixers (5.23) call two functions of their module for one new token per row, and pass views of
the slots' states, which the functions update in place. Bamba, Falcon-H1, Granite hybrids, Mamba-2, Nemotron-H
and Zamba2 call both; layers with a short convolution alone (LFM2, gated delta rules) call the first.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch

from evalsuite.engine.native.trees.functions import Function
from evalsuite.errors import ModelError

CONV_UPDATE, STATE_UPDATE = "causal_conv1d_update", "mamba2_selective_state_update"

Factory = Callable[[Function], Function]


def step_functions(steps: str, device: str) -> Mapping[str, Factory]:
    """Factories of the functions to replace in a decode step, by name.

    Args:
        steps: "kernels", evalsuite's Triton kernels; "mamba-ssm", the packages mamba-ssm and causal-conv1d,
            which transformers' functions call if they are installed; "model", transformers' torch functions.
        device: the device of the model.
    """
    if steps == "kernels":
        return {CONV_UPDATE: _conv_by_kernel, STATE_UPDATE: _state_by_kernel}
    if steps == "mamba-ssm" or device == "cpu":
        return {}
    # transformers wraps its torch functions, and its wrappers call the packages if they are installed.
    return dict.fromkeys((CONV_UPDATE, STATE_UPDATE), inspect.unwrap)


def _conv_by_kernel(original: Function) -> Function:
    from evalsuite.engine.native.slots.kernels.conv_update import conv_update

    def update(hidden_states: torch.Tensor, *args: Any, **options: Any) -> Any:
        one = hidden_states.shape[-1] == 1
        return (conv_update if one else original)(hidden_states, *args, **options)

    return update


def _state_by_kernel(original: Function) -> Function:
    from evalsuite.engine.native.slots.kernels.state_update import state_update

    def update(
        state: torch.Tensor,
        hidden_states: torch.Tensor,
        dt: torch.Tensor,
        A: torch.Tensor,
        B: torch.Tensor,
        C: torch.Tensor,
        D: torch.Tensor | None = None,
        dt_bias: torch.Tensor | None = None,
        dt_softplus: bool = False,
        z: torch.Tensor | None = None,
        **_: Any,
    ) -> torch.Tensor:
        """transformers expands what belongs to a head to all of its channels and values."""
        return state_update(
            state,
            hidden_states,
            _of_heads(dt, 1),
            _of_heads(A, 2),
            B,
            C,
            None if D is None else _of_heads(D, 1),
            None if dt_bias is None else _of_heads(dt_bias, 1),
            z,
            dt_softplus=dt_softplus,
        )

    return update


def _of_heads(expanded: torch.Tensor, dimensions: int) -> torch.Tensor:
    """The tensor before its last dimensions were expanded.

    Raises:
        ModelError: they were not expanded.
    """
    for dimension in range(1, dimensions + 1):
        if expanded.stride(-dimension) and expanded.shape[-dimension] > 1:
            raise ModelError("its state update has a time step, decay or skip for each channel of a head")
    return expanded[(..., *[0] * dimensions)]
