"""Reading a checkpoint takes little memory beside the weights, measured in a process of its own."""

import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.dcp.test_memory import MEASURED, Path
from tests.engine.tiny import save
from tests.megatron.models import configurations
from tests.megatron.writing import Training, write_distributed, write_ranks


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is read from Linux")
@pytest.mark.parametrize("write", [write_distributed, write_ranks])
def test_a_conversion_has_one_tensor_in_memory_at_a_time(tmp_path, write):
    """32 layers of 8 MB on four ranks, of which no tensor has more than 4 MB."""
    large = {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 32, "head_dim": 64}
    paths = []
    for name, sizes in (("small", {}), ("large", large | {"num_attention_heads": 8})):
        config = configurations()["llama"]
        for setting, value in sizes.items():
            setattr(config, setting, value)
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        path = write(tmp_path / name, Training(model, 2, 2)).rename(tmp_path / f"{name}-checkpoint")
        config_folder = save(model, tmp_path / f"{name}-checkpoint-config")
        (config_folder / "model.safetensors").unlink()
        paths.append(str(path))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *paths], capture_output=True, text=True, check=True
    )
    converting, loading, weights = map(int, done.stdout.split())
    print("MB:", *(value // 10**6 for value in (converting, loading, weights)))
    assert weights > 250e6
    assert converting < 0.25 * weights
    assert loading < 1.1 * weights
