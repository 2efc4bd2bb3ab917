"""Reading a checkpoint takes little memory beside the weights, measured in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.dcp import writing
from tests.dcp.models import config_folder, tiny

MEASURED = """
import re, sys
from evalsuite.checkpoints import model_folder, resolve
from evalsuite.engine.native.loading.load import load_model

small, large = (resolve(path, model_config=path + "-config") for path in sys.argv[1:])


def from_now_on():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak is the present size again
    return memory("VmRSS")


def memory(kind):
    with open("/proc/self/status") as file:
        return int(re.search(kind + r":\\s+(\\d+)", file.read())[1]) * 1024


def load(files):
    return load_model(files, device="cpu", dtype="float32", trust_remote_code=False)


load(small)  # imports, and all code once
before = from_now_on()
folder = model_folder(large)
converting = memory("VmHWM") - before
before = from_now_on()
model = load(large)
print(converting, memory("VmHWM") - before, sum(path.stat().st_size for path in folder.glob("*.safetensors")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is read from Linux")
def test_a_conversion_has_one_tensor_in_memory_at_a_time(tmp_path):
    """30 layers of 9 MB, of which no tensor has more than 2 MB, and an optimizer that is not read."""
    for name, model in (
        ("small", tiny("llama")),
        ("large", tiny("llama", hidden_size=512, intermediate_size=1024, num_hidden_layers=30)),
    ):
        config_folder(model, tmp_path / f"{name}-config")
        state = writing.torchtitan(model.state_dict(), family="llama", heads=4, groups=2)
        writing.save(writing.with_training_state(state), tmp_path / name)
    arguments = [str(tmp_path / name) for name in ("small", "large")]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments], capture_output=True, text=True, check=True
    )
    converting, loading, weights = map(int, done.stdout.split())
    assert weights > 250e6
    assert converting < 0.25 * weights
    assert loading < 1.1 * weights
