"""Checkpoints of every naming are, tensor for tensor and in their logits, the models that were stored."""

from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from evalsuite.checkpoints import model_folder, resolve, weights_digest
from tests.dcp import writing
from tests.dcp.models import FAMILIES, config_folder, tiny

IDS = torch.tensor([[7, 200, 12, 255, 7, 0, 45, 45, 99, 3]])
LLAMA = {"family": "llama", "heads": 4, "groups": 2}
QWEN3 = {"family": "qwen3", "heads": 4, "groups": 2}
NAMINGS = {
    "llama, torchtitan": ("llama", partial(writing.torchtitan, **LLAMA)),
    "llama, torchtitan before 0.3": ("llama", partial(writing.torchtitan, **LLAMA, old=True)),
    "qwen3, torchtitan": ("qwen3", partial(writing.torchtitan, **QWEN3)),
    "qwen3, torchtitan before 0.3": ("qwen3", partial(writing.torchtitan, **QWEN3, old=True)),
    "llama, OLMo-core": ("llama", partial(writing.olmo_core, family="llama")),
    "qwen3, OLMo-core": ("qwen3", partial(writing.olmo_core, family="qwen3")),
    "olmo2, OLMo-core": ("olmo2", partial(writing.olmo_core, family="olmo2")),
    "olmo3, OLMo-core": ("olmo3", partial(writing.olmo_core, family="olmo3")),
}
PREFIXES = {
    "none": lambda state: state,
    "model": writing.prefixed("model."),
    "DDP": writing.prefixed("module."),
    "compiled": writing.prefixed("_orig_mod."),
    "app": writing.prefixed("app.model."),
    "state_dict": writing.prefixed("state_dict.model.module."),
    "FSDP, compiled, checkpointed": writing.compiled_and_wrapped,
    "with training state": writing.with_training_state,
}


def read(checkpoint: Path, model: PreTrainedModel, tmp_path: Path) -> PreTrainedModel:
    files = resolve(str(checkpoint), model_config=str(config_folder(model, tmp_path / "config")))
    return AutoModelForCausalLM.from_pretrained(model_folder(files), dtype=torch.float32).eval()


def check(checkpoint: Path, model: PreTrainedModel, tmp_path: Path) -> None:
    found = read(checkpoint, model, tmp_path)
    expected, state = model.state_dict(), found.state_dict()
    assert state.keys() == expected.keys()
    for name, values in expected.items():
        assert torch.equal(state[name], values), name
    with torch.no_grad():
        ours, theirs = found(IDS).logits, model(IDS).logits
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.mark.parametrize("family", FAMILIES)
def test_names_of_transformers(family, tmp_path):
    model = tiny(family)
    check(writing.save(model.state_dict(), tmp_path / "step-1"), model, tmp_path)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_of_wrappers_and_containers(prefix, tmp_path):
    model = tiny("llama")
    check(writing.save(PREFIXES[prefix](model.state_dict()), tmp_path / "step-1"), model, tmp_path)


@pytest.mark.parametrize("naming", NAMINGS)
def test_names_of_training_frameworks(naming, tmp_path):
    family, renamed = NAMINGS[naming]
    model = tiny(family)
    check(writing.save(renamed(model.state_dict()), tmp_path / "step-1"), model, tmp_path)


def test_names_of_the_files_that_transformers_writes(tmp_path):
    model = tiny("nemotron_h")
    state = {name.replace("model.", "backbone.", 1): values for name, values in model.state_dict().items()}
    check(writing.save(state, tmp_path / "step-1"), model, tmp_path)


@pytest.mark.parametrize("names", ["both", "model.embed_tokens.weight", "lm_head.weight"])
def test_tied_embeddings_under_either_name(names, tmp_path):
    model = tiny("llama", tie_word_embeddings=True)
    state = model.state_dict()
    if names != "both":
        state = {
            name: values
            for name, values in state.items()
            if name == names or name not in ("model.embed_tokens.weight", "lm_head.weight")
        }
    check(writing.save(state, tmp_path / "step-1"), model, tmp_path)


def test_rotary_buffers_are_not_weights(tmp_path):
    model = tiny("llama")
    buffers = {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": torch.ones(6) for layer in range(3)}
    check(writing.save(model.state_dict() | buffers, tmp_path / "step-1"), model, tmp_path)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_other_widths_keep_their_values(dtype, tmp_path):
    model = tiny("qwen3")
    state = {name: values.to(dtype) for name, values in model.state_dict().items()}
    model.load_state_dict(state)
    check(writing.save(state, tmp_path / "step-1"), model, tmp_path)


@pytest.mark.parametrize("inner", ["model_and_optim", "pytorch_model_fsdp_0"])
def test_a_trainers_folder_around_the_checkpoint(inner, tmp_path):
    model = tiny("olmo2")
    folder = tmp_path / "step1000"
    folder.mkdir()
    (folder / "config.json").write_text('{"model": {"d_model": 48}}')
    (folder / ".metadata.json").write_text("{}")
    writing.save(writing.olmo_core(model.state_dict(), family="olmo2"), folder / inner)
    check(folder, model, tmp_path)


def test_the_engine_says_which_names_it_read_and_what_it_left(tmp_path):
    from evalsuite.engine.native.engine import TransformersEngine

    model = tiny("llama")
    checkpoint = writing.save(writing.with_training_state(model.state_dict()), tmp_path / "step-1")
    files = resolve(str(checkpoint), model_config=str(config_folder(model, tmp_path / "config")))
    engine = TransformersEngine(files, dtype="float32", device="cpu")
    engine.load()
    notes = list(engine.notes)
    assert "weights are read from a distributed checkpoint with transformers' names" in notes
    tensors = len(model.state_dict())
    assert f"training state in the checkpoint that is not read: optimizer ({2 * tensors}), rng (1)" in notes


def test_the_digest_covers_the_weights_and_not_the_training_state(tmp_path):
    model = tiny("llama")
    config = config_folder(model, tmp_path / "config")
    state = writing.with_training_state(model.state_dict())

    def digest(name: str, **changes: object) -> str:
        checkpoint = writing.save(state | changes, tmp_path / name)
        return weights_digest(resolve(str(checkpoint), model_config=str(config)))

    first = digest("a")
    assert digest("b") == first
    assert digest("c", rng=torch.zeros_like(state["rng"])) == first
    changed = {**model.state_dict(), "model.norm.weight": model.model.norm.weight.detach() + 1}
    assert digest("d", model=changed) != first


def test_lm_eval_reads_a_checkpoint_through_our_model(tmp_path):
    pytest.importorskip("lm_eval")
    from evalsuite.lm_eval_bridge.model import EvalsuiteLM

    model = tiny("llama")
    config = config_folder(model, tmp_path / "config")
    checkpoint = writing.save(model.state_dict(), tmp_path / "step-1")
    lm = EvalsuiteLM(str(checkpoint), model_config=str(config), device="cpu")
    assert lm.engine.identity.weights == weights_digest(resolve(str(checkpoint), model_config=str(config)))
