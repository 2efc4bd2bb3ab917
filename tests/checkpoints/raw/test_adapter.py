"""An adapter on a raw checkpoint gives what it gives on the model that was written."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

from evalsuite.checkpoints import resolve, tokenizer_digest, tokenizer_folder, weights_digest
from evalsuite.checkpoints.adapters import ADAPTER_CONFIG
from evalsuite.engine.native.loading.load import load_model

peft = pytest.importorskip("peft")
IDS = torch.tensor([[5, 17, 31, 2, 4, 7]])


@pytest.fixture
def config(model, tmp_path):
    return shutil.copytree(model, tmp_path / "config", ignore=shutil.ignore_patterns("*.safetensors"))


@pytest.fixture
def adapter(model, tmp_path):
    """An adapter of the tiny model, which names another base."""
    torch.manual_seed(1)
    settings = peft.LoraConfig(r=4, lora_alpha=32, target_modules=["q_proj"], init_lora_weights=False)
    folder = tmp_path / "adapter"
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(model), settings).save_pretrained(folder)
    name_base(folder, "org/another")
    return folder


def name_base(folder, base) -> None:
    path = folder / ADAPTER_CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": str(base)}))


def logits(files):
    loaded = load_model(files, device="cpu", dtype="float32", trust_remote_code=False)
    with torch.no_grad():
        return loaded.model(input_ids=IDS).logits, loaded.notes


def test_it_is_merged_into_the_converted_weights(step, config, model, adapter):
    files = resolve(str(step), model_config=str(config), adapter=str(adapter))
    found, notes = logits(files)
    wanted, _ = logits(resolve(str(model), adapter=str(adapter)))
    plain, _ = logits(resolve(str(step), model_config=str(config)))
    assert torch.equal(found, wanted)
    assert not torch.allclose(found, plain, atol=1e-2)
    assert notes[-1].startswith(f"PEFT adapter {adapter} (LORA) is merged into {step} in float32, although")
    assert (files.format, files.checkpoint, files.model_config) == ("state", step, config)


def test_the_identity_has_the_checkpoint_and_the_adapter(step, config, adapter):
    def digest(**options) -> str:
        return weights_digest(resolve(str(step), model_config=str(config), **options))

    plain, first = digest(), digest(adapter=str(adapter))
    name_base(adapter, "org/yet-another")
    second = digest(adapter=str(adapter))
    state = torch.load(step / "state.pt")
    torch.save(state | {"lm_head.weight": state["lm_head.weight"] + 1}, step / "state.pt")
    assert len({plain, first, second, digest(adapter=str(adapter))}) == 4


def test_the_tokenizer_is_the_adapters_if_it_has_one(step, config, adapter):
    def found():
        files = resolve(str(step), model_config=str(config), adapter=str(adapter))
        return tokenizer_folder(files), tokenizer_digest(files)

    folder, digest = found()
    assert folder == config
    for path in config.glob("*token*"):
        shutil.copy(path, adapter)
    assert found() == (adapter, digest)
    (adapter / "added_tokens.json").write_text("{}")
    assert found()[1] != digest


def test_an_adapters_folder_can_name_a_raw_checkpoint(step, config, adapter):
    name_base(adapter, step)
    files = resolve(str(adapter), model_config=str(config))
    wanted, _ = logits(resolve(str(step), model_config=str(config), adapter=str(adapter)))
    assert torch.equal(logits(files)[0], wanted)
    assert weights_digest(files) == weights_digest(
        resolve(str(step), model_config=str(config), adapter=str(adapter))
    )
