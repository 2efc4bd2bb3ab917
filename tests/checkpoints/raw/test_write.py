"""Weights are written as safetensors reads them, with one tensor in memory at a time."""

import pytest
import torch
from safetensors.torch import load_file

from evalsuite.checkpoints.raw.stored import Stored
from evalsuite.checkpoints.raw.write import write_weights

TYPES = (torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool)


def test_every_data_type_and_shape_reads_back(tmp_path, monkeypatch):
    monkeypatch.setattr("evalsuite.checkpoints.raw.write.SHARD_BYTES", 300)
    shapes = ((4, 5), (), (0, 3), (7,), (2, 1, 3))
    tensors = {f"{dtype} {shape}": (torch.randn(shape) * 3).to(dtype) for dtype in TYPES for shape in shapes}
    held = {name: Stored(tuple(t.shape), t.dtype, lambda t=t: t) for name, t in tensors.items()}
    held["transposed"] = Stored((5, 4), torch.float32, lambda: torch.arange(20.0).view(4, 5).T)
    tensors["transposed"] = torch.arange(20.0).view(4, 5).T
    assert write_weights(held, tmp_path) > 2
    read = {name: value for path in tmp_path.glob("*.safetensors") for name, value in load_file(path).items()}
    assert read.keys() == tensors.keys()
    for name, value in tensors.items():
        assert read[name].dtype == value.dtype
        assert torch.equal(read[name], value)


def test_a_reader_that_gives_another_tensor_than_it_said_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="a was read as"):
        write_weights({"a": Stored((2,), torch.float32, lambda: torch.zeros(3))}, tmp_path)
