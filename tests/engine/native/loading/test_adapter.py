"""PEFT adapters, really made, loaded and merged by the package."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from evalsuite.checkpoints import adapters, resolve, weights_digest
from evalsuite.checkpoints.adapters import ADAPTER_CONFIG
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.loading.load import load_model
from evalsuite.engine.native.models import support_for
from evalsuite.engine.protocol import answers_in
from evalsuite.errors import ModelError
from evalsuite.types import ScoreRequest
from tests.engine.tiny import byte_tokenizer, save, tiny_gpt2, tiny_llama, tiny_nemotron_h

peft = pytest.importorskip("peft")
OPTIONS = {"device": "cpu", "dtype": "float32", "trust_remote_code": False}
IDS = torch.tensor([[5, 17, 31, 200, 4, 77]])
EVERYWHERE = ["q_proj", "v_proj", "down_proj"]
ADAPTERS = {
    "LoRA": lambda: peft.LoraConfig(r=4, lora_alpha=32, target_modules=EVERYWHERE, init_lora_weights=False),
    "DoRA": lambda: peft.LoraConfig(
        r=4, lora_alpha=32, target_modules=["q_proj"], use_dora=True, init_lora_weights=False
    ),
    "rank-stabilised": lambda: peft.LoraConfig(
        r=8, lora_alpha=8, target_modules=["q_proj"], use_rslora=True, init_lora_weights=False
    ),
    "with a whole head": lambda: peft.LoraConfig(
        r=4, target_modules=["q_proj"], modules_to_save=["lm_head"], init_lora_weights=False
    ),
    "LoHa": lambda: peft.LoHaConfig(r=4, alpha=32, target_modules=["q_proj"], init_weights=False),
    "IA3": lambda: peft.IA3Config(
        target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"], init_ia3_weights=False
    ),
}


def adapt(folder, config, model=None, seed=1):
    """Write an adapter into a folder; gives what its model says of IDS."""
    torch.manual_seed(seed)
    adapted = peft.get_peft_model(model or tiny_llama(), config)
    for name, weight in adapted.named_parameters():
        if "modules_to_save" in name:
            weight.data *= 1.5
    adapted.save_pretrained(folder)
    with torch.no_grad():
        return adapted.eval()(input_ids=IDS).logits


@pytest.fixture
def base(tmp_path):
    folder = save(tiny_llama(), tmp_path / "base")
    byte_tokenizer().save_pretrained(folder)
    return folder


def alone(folder, base_name, config=None):
    """An adapter in a folder of its own that names its base."""
    logits = adapt(folder, config or ADAPTERS["LoRA"]())
    settings = json.loads((folder / ADAPTER_CONFIG).read_text())
    (folder / ADAPTER_CONFIG).write_text(json.dumps({**settings, "base_model_name_or_path": str(base_name)}))
    return logits


def logits_of(folder):
    loaded = load_model(resolve(str(folder)), **OPTIONS)
    with torch.no_grad():
        return loaded.model(input_ids=IDS).logits, loaded


def refusal(work):
    with pytest.raises(ModelError) as caught:
        work()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapter_beside_its_base_gives_what_the_adapted_model_gives_and_is_said(base, kind):
    plain, _ = logits_of(base)
    wanted = adapt(base, ADAPTERS[kind]())
    got, loaded = logits_of(base)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(got, plain, atol=1e-2)
    assert f"PEFT adapter {base}" in loaded.notes[0]
    assert type(loaded.model).__name__ == "LlamaForCausalLM"


@pytest.mark.parametrize("make", [tiny_gpt2, tiny_nemotron_h])
def test_adapters_of_other_architectures_are_applied(tmp_path, make):
    folder = save(make(), tmp_path / "base")
    targets = ["c_attn"] if make is tiny_gpt2 else ["q_proj", "in_proj", "up_proj"]
    config = peft.LoraConfig(r=4, lora_alpha=32, target_modules=targets, init_lora_weights=False)
    plain, _ = logits_of(folder)
    model = make()
    support_for(model.config.model_type).patch(model)
    wanted = adapt(folder, config, model)
    got, _ = logits_of(folder)
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(got, plain, atol=1e-2)


def test_an_adapter_alone_is_applied_to_the_base_that_it_names(base, tmp_path):
    wanted = alone(tmp_path / "adapter", base)
    got, loaded = logits_of(tmp_path / "adapter")
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    assert str(base) in loaded.notes[0]


def test_a_relative_base_is_found_from_where_one_is_or_beside_the_adapter_and_never_guessed(
    base, tmp_path, monkeypatch
):
    wanted = alone(tmp_path / "adapter", "../base")
    elsewhere = tmp_path / "one" / "two"
    elsewhere.mkdir(parents=True)
    for where in (elsewhere, base):
        monkeypatch.chdir(where)
        torch.testing.assert_close(logits_of(tmp_path / "adapter")[0], wanted, rtol=1e-4, atol=1e-4)
    shutil.copytree(base, tmp_path / "one" / "base")
    monkeypatch.chdir(elsewhere)
    assert "two folders" in refusal(lambda: resolve(str(tmp_path / "adapter")))


def test_the_engine_scores_an_adapted_model_on_packed_trees_with_the_right_tokenizer(base, tmp_path):
    alone(tmp_path / "adapter", base)
    request = ScoreRequest((5, 17, 31), (200, 4))
    engine = TransformersEngine(resolve(str(tmp_path / "adapter")))
    assert engine.tokenizer.encode(["ab"], special_tokens=False) == TransformersEngine(
        resolve(str(base))
    ).tokenizer.encode(["ab"], special_tokens=False)
    ((_, score),) = answers_in(engine.score([request]))
    model = load_model(resolve(str(tmp_path / "adapter")), **OPTIONS).model
    with torch.no_grad():
        rows = model(input_ids=torch.tensor([[5, 17, 31, 200]])).logits[0].log_softmax(-1)
    assert score.log_likelihood == pytest.approx((rows[2, 200] + rows[3, 4]).item(), abs=1e-3)


def test_the_digest_is_of_base_adapter_and_its_settings_and_of_nothing_installed(base, tmp_path, monkeypatch):
    plain = weights_digest(resolve(str(base)))
    folder = tmp_path / "adapter"
    alone(folder, base)
    seen = [plain, weights_digest(resolve(str(folder)))]
    settings = json.loads((folder / ADAPTER_CONFIG).read_text())
    (folder / ADAPTER_CONFIG).write_text(json.dumps({**settings, "lora_alpha": 640}))
    seen.append(weights_digest(resolve(str(folder))))
    weights = load_file(folder / "adapter_model.safetensors")
    name = next(iter(weights))
    save_file({**weights, name: weights[name] * 2}, folder / "adapter_model.safetensors")
    seen.append(weights_digest(resolve(str(folder))))
    save(tiny_llama(seed=3), base)
    seen.append(weights_digest(resolve(str(folder))))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert weights_digest(resolve(str(folder))) == seen[-1]
    assert len(set(seen)) == len(seen)


def test_without_the_package_an_adapter_is_refused_and_the_base_alone_is_not_taken(base, monkeypatch):
    adapt(base, ADAPTERS["LoRA"]())
    find_spec = adapters.importlib.util.find_spec
    monkeypatch.setattr(
        adapters.importlib.util, "find_spec", lambda name: None if name == "peft" else find_spec(name)
    )
    message = refusal(lambda: load_model(resolve(str(base)), **OPTIONS))
    assert "pip install 'evalsuite[peft]'" in message
    assert "merge_and_unload" in message


def test_what_cannot_be_applied_is_refused_by_name(base, tmp_path):
    folder = tmp_path / "adapter"
    alone(folder, base)
    original = json.loads((folder / ADAPTER_CONFIG).read_text())

    def with_settings(**changes):
        (folder / ADAPTER_CONFIG).write_text(json.dumps({**original, **changes}))
        return refusal(lambda: load_model(resolve(str(folder)), **OPTIONS))

    assert "names no base model" in with_settings(base_model_name_or_path=None)
    assert "does not exist" in with_settings(base_model_name_or_path="/nowhere/base")
    assert "repeats layers" in with_settings(layer_replication=[[0, 2], [1, 2]])
    assert "lacks" in with_settings(target_modules=[*EVERYWHERE, "o_proj"])
    assert "unlike its base model" in with_settings(target_modules=["q_proj"])
    assert "cannot be applied" in with_settings(r=8)
    assert "cannot be applied" in with_settings(peft_type="SOMETHING_NEW")
    (folder / "adapter_model.safetensors").unlink()
    assert "no adapter weights" in with_settings()


def test_prompt_tuning_is_refused_by_name(base):
    adapt(base, peft.PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"))
    assert "changes prompts (PROMPT_TUNING)" in refusal(lambda: load_model(resolve(str(base)), **OPTIONS))


def test_a_base_with_an_adapter_of_its_own_is_refused(base, tmp_path):
    alone(tmp_path / "adapter", base)
    adapt(base, ADAPTERS["LoRA"]())
    assert "has an adapter, too" in refusal(lambda: resolve(str(tmp_path / "adapter")))


def test_weights_that_the_base_lacks_are_missing_with_an_adapter_too(base):
    weights = load_file(base / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    adapt(base, ADAPTERS["LoRA"]())
    assert "incomplete" in refusal(lambda: load_model(resolve(str(base)), **OPTIONS))


def test_a_merge_that_does_not_give_what_the_adapter_gives_is_refused(base, monkeypatch):
    adapt(base, ADAPTERS["LoRA"]())
    monkeypatch.setattr(peft.PeftModel, "merge_and_unload", lambda self: self.unload(), raising=False)
    assert "other logits" in refusal(lambda: load_model(resolve(str(base)), **OPTIONS))


def test_half_precision_says_in_what_the_adapter_is_merged(base):
    wanted = adapt(base, ADAPTERS["LoRA"]())
    loaded = load_model(resolve(str(base)), **{**OPTIONS, "dtype": "bfloat16"})
    assert "in bfloat16" in loaded.notes[0]
    with torch.no_grad():
        got = loaded.model(input_ids=IDS).logits
    assert (got - wanted).norm() < 0.1 * wanted.norm()


def test_an_adapter_beside_a_single_file_is_refused(base, tmp_path):
    adapt(tmp_path / "adapter", ADAPTERS["LoRA"]())
    shutil.copy(base / "model.safetensors", tmp_path / "adapter" / "model.gguf")
    for name in (tmp_path / "adapter", tmp_path / "adapter" / "model.gguf"):
        assert "is a whole model and has an adapter" in refusal(lambda name=name: resolve(str(name)))


def given(base, folder):
    """Logits and notes with `--adapter`."""
    loaded = load_model(resolve(str(base), adapter=str(folder)), **OPTIONS)
    with torch.no_grad():
        return loaded.model(input_ids=IDS).logits, loaded.notes[0]


def test_an_adapter_given_beside_the_model_is_the_adapter_alone(base, tmp_path):
    folder = tmp_path / "adapter"
    wanted = alone(folder, base)
    logits, note = given(base, folder)
    torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)
    assert "names the base model" not in note
    files, named = resolve(str(base), adapter=str(folder)), resolve(str(folder))
    assert weights_digest(files) == weights_digest(named) != weights_digest(resolve(str(base)))
    assert (files.name, files.base, files.tokenizer_folder) == (str(folder), str(base), base)


def test_a_base_that_differs_from_the_one_the_adapter_names_is_noted(base, tmp_path):
    folder = tmp_path / "adapter"
    wanted = alone(folder, "org/trained-on-this")
    logits, note = given(base, folder)
    torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)
    assert note.endswith(
        f"is merged into {base} in float32, although it names the base model org/trained-on-this"
    )


def test_an_adapter_that_names_no_base_is_applied_to_the_given_one(base, tmp_path):
    wanted = alone(tmp_path / "adapter", base)
    settings = json.loads((tmp_path / "adapter" / ADAPTER_CONFIG).read_text())
    (tmp_path / "adapter" / ADAPTER_CONFIG).write_text(
        json.dumps({**settings, "base_model_name_or_path": None})
    )
    logits, note = given(base, tmp_path / "adapter")
    torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)
    assert "names the base model" not in note


def test_what_is_given_and_is_no_adapter_is_refused_in_one_sentence(base, tmp_path):
    def refused(name):
        return refusal(lambda: load_model(resolve(str(base), adapter=str(name)), **OPTIONS))

    folder = tmp_path / "adapter"
    assert refused(folder) == f"--adapter '{folder}' is no folder; give the folder of a PEFT adapter."
    assert refused("").startswith("--adapter '' is no folder")
    assert "has no adapter_config.json, so it is no PEFT adapter" in refused(base)
    alone(folder, base)
    settings = (folder / ADAPTER_CONFIG).read_text()
    (folder / ADAPTER_CONFIG).write_text("{")
    assert "is not readable JSON of an adapter" in refused(folder)
    (folder / ADAPTER_CONFIG).write_text(settings)
    weights = folder / "adapter_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    assert "bytes instead of" in refused(folder)
    weights.unlink()
    assert "no adapter weights" in refused(folder)
    weights.write_bytes(content)
    adapt(base, ADAPTERS["LoRA"]())
    assert "has an adapter, too" in refused(folder)
    for name in (ADAPTER_CONFIG, "adapter_model.safetensors"):
        (base / name).unlink()
    (base / "model.safetensors").rename(base / "model.gguf")
    with pytest.raises(ModelError, match="is one file, to which it cannot be applied"):
        resolve(str(base / "model.gguf"), adapter=str(folder))
