import pytest
import torch

from evalsuite.engine.placement import CPU_BUDGET, GPU_BUDGET, default_budget, resolve_device, resolve_dtype
from evalsuite.errors import ModelError


def test_automatic_data_type_is_float32_on_a_cpu_and_bfloat16_elsewhere():
    assert resolve_dtype("auto", "cpu") == "float32"
    assert resolve_dtype("auto", "cuda:1") == "bfloat16"
    assert resolve_dtype("float16", "cpu") == "float16"


def test_an_unknown_data_type_or_device_is_refused():
    with pytest.raises(ModelError, match="float8"):
        resolve_dtype("float8", "cpu")
    with pytest.raises(ModelError, match="Unknown device 'gpu'"):
        resolve_device("gpu")


def test_automatic_device_is_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="no GPU"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == "cuda:1"
    with pytest.raises(ModelError, match="2 GPU"):
        resolve_device("cuda:2")


def test_batches_are_larger_on_a_gpu():
    assert default_budget("cpu") == CPU_BUDGET
    assert default_budget("cuda:0") == GPU_BUDGET
