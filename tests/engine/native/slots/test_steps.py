"""Which functions of transformers a decode step over slots calls, by path."""

import sys

import pytest
import torch

from evalsuite.engine.native.models.packages import mamba_ssm_unsupported_reason
from evalsuite.engine.native.paths import CANDIDATES
from evalsuite.engine.native.slots.steps import (
    CONV_UPDATE,
    STATE_UPDATE,
    _of_heads,
    step_functions,
)
from evalsuite.errors import ModelError
from tests.engine.tiny import tiny_hybrids


def test_a_cpu_keeps_the_models_own_functions():
    assert step_functions("model", "cpu") == {}


def test_on_a_gpu_the_models_own_functions_are_torchs_even_if_packages_are_installed():
    module = sys.modules[type(tiny_hybrids()["mamba2"]).__module__]
    functions = step_functions("model", "cuda:1")
    assert set(functions) == {CONV_UPDATE, STATE_UPDATE}
    for name, factory in functions.items():
        wrapper = getattr(module, name)
        assert factory(wrapper) is not wrapper
        assert factory(wrapper).__code__.co_filename == module.__file__


def test_mamba_ssm_is_what_transformers_calls():
    assert step_functions("mamba-ssm", "cuda") == {}


def test_the_kernels_are_tried_before_mamba_ssm_which_is_optional():
    assert [one.name for one in CANDIDATES["steps"]] == ["kernels", "mamba-ssm"]
    assert mamba_ssm_unsupported_reason("cpu") == "only for GPUs"
    if "mamba_ssm" not in sys.modules:
        assert mamba_ssm_unsupported_reason("cuda") == "mamba-ssm is not installed"


def test_what_belongs_to_a_head_is_read_from_its_expansion():
    by_head = torch.arange(6.0).view(2, 3)
    assert torch.equal(_of_heads(by_head[..., None, None].expand(2, 3, 4, 5), 2), by_head)
    assert torch.equal(_of_heads(by_head[..., None], 1), by_head)
    with pytest.raises(ModelError, match="for each channel"):
        _of_heads(by_head, 1)
