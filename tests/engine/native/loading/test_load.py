import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.loading.load import LoadedModel, load_model
from evalsuite.errors import ModelError
from tests.engine.tiny import byte_tokenizer, save, tiny_llama, tiny_nemotron_h

OPTIONS = {"device": "cpu", "dtype": "float32", "trust_remote_code": False}


OWN = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
OWN_CODE = """from transformers import LlamaConfig, LlamaForCausalLM

class Config(LlamaConfig):
    pass

class Model(LlamaForCausalLM):
    config_class = Config
"""


def refusal(folder, **changes):
    with pytest.raises(ModelError) as caught:
        load_model(ModelFiles("mine", folder), **{**OPTIONS, **changes})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_loads_in_the_wanted_data_type(llama_files):
    loaded = load_model(llama_files, **{**OPTIONS, "dtype": "bfloat16"})
    assert str(loaded.model.dtype) == "torch.bfloat16"
    assert not loaded.model.training
    assert loaded.eos_ids == {1}
    assert loaded.notes == ()


def test_a_nemotron_h_folder_is_corrected_and_says_so(tmp_path):
    loaded = load_model(ModelFiles("mine", save(tiny_nemotron_h(), tmp_path)), **OPTIONS)
    assert "time step limit" in loaded.notes[0]
    assert loaded.model.model.layers[0].mixer.time_step_limit == (0.0, float("inf"))


def test_missing_weights_are_refused_instead_of_made_up(tmp_path):
    save(tiny_llama(), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert "1 weights are missing" in refusal(tmp_path)


def test_weights_of_another_shape_are_refused(tmp_path):
    save(tiny_llama(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    assert "mlp.down_proj.weight has shape 32 x 64" in refusal(tmp_path)


def test_unreadable_weights_are_one_sentence(tmp_path):
    save(tiny_llama(), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nonsense" * 10)
    assert "cannot be loaded" in refusal(tmp_path)


def test_an_unknown_architecture_is_named(tmp_path):
    save(tiny_llama(), tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "not_yet_invented"}')
    assert "not_yet_invented" in refusal(tmp_path)


def test_an_architecture_with_code_of_its_own_asks_for_trust(tmp_path):
    save(tiny_llama(), tmp_path)
    own = {"model_type": "home_made", "auto_map": {"AutoConfig": "c.C", "AutoModelForCausalLM": "m.M"}}
    (tmp_path / "config.json").write_text(json.dumps(own))
    assert "--trust-remote-code" in refusal(tmp_path)


def test_code_of_another_repository_is_refused_since_no_digest_covers_it(tmp_path):
    save(tiny_llama(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "org/other--modeling_other.OtherForCausalLM"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "code of another repository, org/other" in refusal(tmp_path, trust_remote_code=True)
    assert load_model(ModelFiles("mine", tmp_path), **OPTIONS)  # transformers' own class needs none


def test_files_that_change_between_hashing_and_loading_are_refused(tmp_path):
    save(tiny_llama(), tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    assert TransformersEngine(
        ModelFiles("mine", tmp_path), device="cpu"
    ).identity  # now the model has been tried
    engine = TransformersEngine(ModelFiles("mine", tmp_path), device="cpu")
    assert engine.identity.weights
    save(tiny_llama(seed=5), tmp_path)
    with pytest.raises(ModelError, match="changed between hashing and loading"):
        engine.load()


def test_what_else_moves_numbers_is_in_the_class_of_numerics(tmp_path, monkeypatch):
    save(tiny_llama(), tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)

    def numerics(**options):
        return TransformersEngine(ModelFiles("mine", tmp_path), device="cpu", **options).identity.numerics

    plain = numerics()
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    assert numerics() == f"{plain} float32-products-bf16"
    half = plain.replace("float32 cpu", "bfloat16 cpu float32-sums")
    assert numerics(dtype="bfloat16") == f"{half} float32-products-bf16"
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "STRICT")
    assert numerics() == plain
    assert numerics(dtype="bfloat16") == half
    torch.set_float32_matmul_precision("medium")
    try:
        assert numerics() == f"{plain} float32-products-medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "auto_map": OWN}))
    (tmp_path / "own.py").write_text(OWN_CODE)
    assert numerics() == plain
    assert numerics(dtype="bfloat16") == half
    assert "remote-code" in numerics(trust_remote_code=True)


def test_only_the_files_of_the_digest_are_shown_to_the_loader(tmp_path, monkeypatch):
    folder = save(tiny_llama(), tmp_path / "model")
    wanted = load_model(ModelFiles("mine", folder), **OPTIONS).model.lm_head.weight
    (folder / "adapter_config.json").write_text("{}")
    save(tiny_llama(seed=5), tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").rename(folder / "consolidated.safetensors")
    torch.save({}, folder / "pytorch_model.bin")
    loaded = load_model(ModelFiles("mine", folder), **OPTIONS)
    assert torch.equal(loaded.model.lm_head.weight, wanted)
    assert loaded.notes == ("weights are read from model.safetensors; not used: pytorch_model.bin",)


def test_shards_beside_a_whole_file_are_not_loaded_and_load_without_it(tmp_path):
    tiny_llama().save_pretrained(tmp_path, max_shard_size="30KB")
    shards = load_model(ModelFiles("mine", tmp_path), **OPTIONS)
    assert shards.notes == ()
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    del index["metadata"]  # as some tools write it
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    other = tiny_llama(seed=5)
    save_file(other.state_dict(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    whole = load_model(ModelFiles("mine", tmp_path), **OPTIONS)
    assert torch.equal(whole.model.lm_head.weight, other.lm_head.weight)
    assert "not used: model.safetensors.index.json" in whole.notes[0]
    (tmp_path / "model.safetensors").unlink()
    again = load_model(ModelFiles("mine", tmp_path), **OPTIONS)
    assert torch.equal(again.model.lm_head.weight, shards.model.lm_head.weight)


@pytest.mark.parametrize(
    ("parameters", "stateful", "name", "recurrent"),
    [
        ("position_ids past_key_values", False, "past_key_values", False),
        ("position_ids past_key_values", True, "past_key_values", False),
        ("cache_params", True, "cache_params", True),
        ("position_ids cache", False, "cache", False),
        ("position_ids cache", True, "cache", False),
        ("cache", True, "cache", True),
        ("state", True, "past_key_values", False),
    ],
    ids=["5.23", "5.23 hybrid", "5.23 Mamba", "5.24", "5.24 hybrid", "5.24 Mamba", "RWKV"],
)
def test_the_cache_has_the_name_that_the_version_of_transformers_gives_it(
    parameters, stateful, name, recurrent
):
    model = torch.nn.Module()
    model._is_stateful = stateful
    loaded = LoadedModel(model, "cpu", (), frozenset(parameters.split()))
    assert (loaded.cache_name, loaded.is_recurrent) == (name, recurrent)
