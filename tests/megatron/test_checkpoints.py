"""Every layout of Megatron's, tensor for tensor and in its logits, against the model that was written."""

import copy

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from evalsuite.checkpoints import model_folder, resolve
from tests.megatron.layout import local_name
from tests.megatron.models import tiny
from tests.megatron.writing import Training, write_distributed, write_ranks

BY_TENSOR, BY_STAGE = (pytest.param(*ranks, marks=pytest.mark.slow) for ranks in ((2, 1), (1, 2)))
IDS = torch.tensor([[7, 200, 12, 259, 7, 0, 45, 45, 99, 3]])


def check(model, path, config) -> None:
    """The checkpoint has the model's tensors, bit for bit, and its logits."""
    files = resolve(str(path), model_config=str(config))
    assert files.format == "megatron"
    found = AutoModelForCausalLM.from_pretrained(model_folder(files), dtype="auto").eval()
    expected = model.state_dict()
    assert found.state_dict().keys() == expected.keys()
    for name, tensor in found.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    with torch.inference_mode():
        got, wanted = found(IDS).logits, model(IDS).logits
    assert (got - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("write", [write_distributed, write_ranks])
@pytest.mark.parametrize(("tensor", "pipeline"), [(1, 1), BY_TENSOR, BY_STAGE, (2, 2)])
@pytest.mark.parametrize("kind", ["llama", "llama, one group, tied", "qwen3", "nemotron", "nemotron_h"])
def test_a_checkpoint_is_the_model_that_was_trained(tmp_path, config_folders, kind, tensor, pipeline, write):
    model = tiny(kind)
    check(model, write(tmp_path, Training(model, tensor, pipeline)), config_folders[kind])


@pytest.mark.parametrize("kind", ["llama 3.1", "nemotron"])
def test_layers_may_be_stored_one_by_one(tmp_path, config_folders, kind):
    model = tiny(kind)
    path = write_distributed(tmp_path, Training(model, 2), stacked=False, split=True)
    check(model, path, config_folders[kind])


@pytest.mark.parametrize("kind", ["qwen3", "nemotron"])
def test_models_without_transformer_engine_have_norms_of_their_own(tmp_path, config_folders, kind):
    model = tiny(kind)
    check(model, write_ranks(tmp_path, Training(model, 2, 2), named=local_name), config_folders[kind])


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_virtual_pipeline_stages_follow_each_other_part_by_part(tmp_path, config_folders, kind):
    model = tiny(kind)
    check(model, write_ranks(tmp_path, Training(model, 1, 2), chunks=2), config_folders[kind])


def test_newer_mamba_layers_have_no_module_for_the_convolution(tmp_path, config_folders):
    """Megatron-LM of 2026: `conv1d_weight` on the ranks, and as before in distributed checkpoints."""
    model = tiny("nemotron_h")

    def newer(name: str) -> str:
        return name.replace("conv1d.", "conv1d_")

    path = write_ranks(tmp_path, Training(model, 2, 2), named=newer)
    check(model, path, config_folders["nemotron_h"])


@pytest.mark.parametrize("write", [write_distributed, write_ranks])
def test_every_tensor_keeps_its_data_type(tmp_path, config_folders, write):
    """Megatron's mixed precision has Mamba's A_log and D in float32, and the rest in bfloat16."""
    model = copy.deepcopy(tiny("nemotron_h")).bfloat16()
    for name, parameter in model.named_parameters():
        if name.endswith(("A_log", ".D")):
            parameter.data = parameter.data.float() + 1e-4
    path = write(tmp_path, Training(model, 2, 2))
    folder = model_folder(resolve(str(path), model_config=str(config_folders["nemotron_h"])))
    stored = {
        name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()
    }
    expected = model.state_dict()
    assert stored.keys() == expected.keys()
    for name, tensor in stored.items():
        assert tensor.dtype == expected[name].dtype
        assert torch.equal(tensor, expected[name]), name
