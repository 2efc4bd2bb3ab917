"""A raw checkpoint gets configuration and tokenizer from `--model-config`, and is identified with it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from evalsuite.checkpoints import model_folder, resolve, tokenizer_digest, tokenizer_folder, weights_digest
from evalsuite.checkpoints.files import context_window, read_config
from evalsuite.checkpoints.weights import weight_bytes
from evalsuite.errors import ModelError


def refusal(name, model_config=None) -> str:
    with pytest.raises(ModelError) as error:
        resolve(str(name), model_config=None if model_config is None else str(model_config))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def config(model, tmp_path) -> Path:
    """The tiny model's folder without its weights."""
    return shutil.copytree(model, tmp_path / "config", ignore=shutil.ignore_patterns("*.safetensors"))


def change(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_raw_checkpoint_is_the_model_that_its_tensors_and_configuration_make(step, config, model):
    files, plain = resolve(str(step), model_config=str(config)), resolve(str(model))
    assert (files.format, files.checkpoint, files.model_config) == ("state", step, config)
    assert read_config(files) == read_config(plain)
    assert context_window(files) == context_window(plain)
    assert weight_bytes(files, 2) == weight_bytes(plain, 2)
    assert tokenizer_folder(files) == config
    assert tokenizer_digest(files) == tokenizer_digest(plain)
    ours, theirs = (AutoModelForCausalLM.from_pretrained(folder) for folder in (model_folder(files), model))
    for name, values in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], values)


def test_the_identity_has_the_weights_and_the_configuration(step, config):
    def digest() -> str:
        return weights_digest(resolve(str(step), model_config=str(config)))

    first = digest()
    assert digest() == first
    change(config, rms_norm_eps=1e-3)
    second = digest()
    state = torch.load(step / "state.pt")
    torch.save(state | {"lm_head.weight": state["lm_head.weight"] + 1}, step / "state.pt")
    assert len({first, second, digest()}) == 3


def test_each_configuration_has_a_conversion_of_its_own(step, config):
    first = model_folder(resolve(str(step), model_config=str(config)))
    change(config, rms_norm_eps=1e-3)
    second = model_folder(resolve(str(step), model_config=str(config)))
    assert [json.loads((each / "config.json").read_text())["rms_norm_eps"] for each in (first, second)] == [
        1e-6,
        1e-3,
    ]


def test_a_raw_checkpoint_without_a_configuration_says_what_to_give(step):
    assert refusal(step) == (
        f"Model '{step}' is a raw checkpoint, without configuration and tokenizer: give --model-config with "
        "a folder (or an alias, or a hub id) that has both for this model."
    )


def test_a_model_with_a_configuration_takes_no_other(model, config):
    assert refusal(model, config).endswith("has its own configuration: leave it out.")


def test_a_configuration_that_cannot_be_used_is_refused_in_one_sentence(step, config, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refusal(step, empty) == f"--model-config {empty}: the folder has no config.json."
    assert "is a file" in refusal(step, config / "config.json")
    assert "does not exist" in refusal(step, tmp_path / "nowhere")
    assert refusal(step, " ").startswith("--model-config is empty")
    assert refusal(step, "8bb").startswith("Unknown value of --model-config '8bb'. Did you mean 8b?")
    assert "is not (or not fully) on this machine" in refusal(step, "8b")
    change(config, quantization_config={"quant_method": "bitsandbytes"})
    assert "describes quantised weights (quantization_config in config.json)" in refusal(step, config)


def test_a_configuration_of_an_unknown_architecture_is_refused(step, config):
    change(config, model_type="no_such_family")
    with pytest.raises(ModelError, match=r"No model can be made from .*config\.json"):
        model_folder(resolve(str(step), model_config=str(config)))


def test_a_folder_with_a_configuration_and_no_weights_may_be_a_raw_checkpoint(step, config):
    (step / "config.json").write_text('{"model": {"d_model": 4096}}')
    assert resolve(str(step), model_config=str(config)).format == "state"
    assert "give --model-config" in refusal(step)


def test_a_checkpoint_beside_a_configuration_of_transformers_needs_no_other(step, config, model):
    shutil.copytree(config, step, dirs_exist_ok=True)
    files = resolve(str(step))
    assert (files.format, files.model_config) == ("state", step)
    assert tokenizer_digest(files) == tokenizer_digest(resolve(str(model)))
    assert resolve(str(step), model_config=str(config)).model_config == config
