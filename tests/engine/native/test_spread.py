"""`--device spread`: layers where there is room for them. Here a CPU and the disk stand in for several
GPUs."""

import pytest
import torch

from evalsuite.checkpoints import resolve
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.loading.load import load_model
from evalsuite.engine.native.model import NativeModel
from evalsuite.engine.tensor_parallel.engine import TensorParallelEngine
from evalsuite.engine.tensor_parallel.ranks import Ranks
from evalsuite.errors import UserError
from tests.engine.tensor_parallel.in_team import SCORES, TEXTS, answered
from tests.engine.tiny import save, tiny_nemotron_h


def test_on_a_machine_with_one_device_it_answers_as_that_device_does(llama_files):
    spread = answered(TransformersEngine(llama_files, device="spread", token_budget=24))
    alone = answered(TransformersEngine(llama_files, device="cpu", token_budget=24))
    assert spread["numerics"] == "transformers float32 cpu packed spread"
    assert spread["notes"] == ()
    assert spread["scores"] == alone["scores"]
    assert spread["texts"] == alone["texts"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["llama", "nemotron_h"])
def test_layers_that_do_not_fit_are_brought_when_they_are_needed(
    family, dtype, llama_files, tmp_path, monkeypatch
):
    """Half of the weights stay on the disk; accelerate moves each layer's to where it runs, as between
    GPUs."""
    files = llama_files if family == "llama" else resolve(str(save(tiny_nemotron_h(), tmp_path)))
    whole = TransformersEngine(files, device="cpu", dtype=dtype, token_budget=24)
    size = sum(weight.nbytes for weight in whole.model.loaded.model.parameters())
    loaded = load_model(
        files,
        device="cpu",
        dtype=dtype,
        trust_remote_code=False,
        spread=True,
        max_memory={"cpu": size * 6 // 10},
    )
    away = [name for name, weight in loaded.model.named_parameters() if weight.device.type == "meta"]
    assert away
    assert set(loaded.model.hf_device_map.values()) == {"cpu", "disk"}
    engine = TransformersEngine(files, device="spread", dtype=dtype, token_budget=24)
    monkeypatch.setattr(NativeModel, "loaded", loaded)
    found = answered(engine)
    monkeypatch.undo()
    expected = answered(whole)
    half = " float32-sums" if dtype == "bfloat16" else ""
    assert found["numerics"] == f"transformers {dtype} cpu{half} packed spread"
    close = {"float32": 1e-5, "bfloat16": 0.3}[dtype]
    assert torch.allclose(torch.tensor(found["scores"]), torch.tensor(expected["scores"]), atol=close, rtol=0)
    if dtype == "float32":
        assert found["texts"] == expected["texts"]
    assert len(found["texts"]) == len(TEXTS)
    assert len(found["scores"]) == len(SCORES)


def test_a_team_does_not_spread(llama_files):
    with pytest.raises(
        UserError, match="--device spread is for one process; start evalsuite without torchrun"
    ):
        TensorParallelEngine(llama_files, team=Ranks(0, 2, 0), device="spread")
