"""Which functions compute Mamba-2 layers over slots: the scan of prompts, and the updates of decode steps.

The mixers of transformers (5.23: Bamba, Falcon-H1, Granite hybrids, Mamba-2, Nemotron-H, Zamba2) call two
functions of their modules for one new token per row, and pass views of the slots' states, which the functions
update in place. For several tokens per row they call a convolution, and a scan that returns the new states.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch

from evalsuite.engine.native.trees.functions import MAMBA_2_SCAN, Function
from evalsuite.errors import ModelError

CONV_UPDATE, STATE_UPDATE = "causal_conv1d_update", "mamba2_selective_state_update"

Factory = Callable[[Function], Function]


def step_functions(steps: str, device: str) -> Mapping[str, Factory]:
    """Factories of the functions to replace in a decode step, by name.

    Args:
        steps: as in `Paths`. "mamba-ssm" leaves transformers' functions, which call the packages mamba-ssm
            and causal-conv1d if they are installed; on a GPU, "model" takes their torch functions.
        device: the device of the model.
    """
    if steps == "kernels":
        return {CONV_UPDATE: _conv_by_kernel, STATE_UPDATE: _state_by_kernel}
    if steps == "mamba-ssm" or not device.startswith("cuda"):
        return {}
    # transformers' functions wrap the torch ones.
    return dict.fromkeys((CONV_UPDATE, STATE_UPDATE), inspect.unwrap)


def prompt_functions(prompts: str) -> Mapping[str, Factory]:
    """Factories of the functions to replace in passes over prompts, by name; `prompts` as in `Paths`."""
    return {MAMBA_2_SCAN: _scan_by_kernel} if prompts == "kernels" else {}


def _scan_by_kernel(original: Function) -> Function:
    from evalsuite.engine.native.slots.kernels.prompt_scan import prompt_scan

    return prompt_scan


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
    for _ in range(dimensions):
        if expanded.stride(-1) and expanded.shape[-1] > 1:
            raise ModelError("its state update has a time step, decay or skip for each channel of a head")
        expanded = expanded.select(-1, 0)
    return expanded
