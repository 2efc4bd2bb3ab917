"""A checkpoint that is damaged, unfinished or of another model is refused in one sentence that says why."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint.metadata import Metadata

from evalsuite.checkpoints import model_folder, resolve
from evalsuite.checkpoints.formats import CHECKPOINT_FORMATS
from evalsuite.errors import ModelError
from tests.dcp import writing
from tests.dcp.models import config_folder, tiny


class Ran:
    """Would run a command if it were unpickled by Python's own pickle."""

    def __reduce__(self):
        return os.system, ("touch ran-by-the-pickle",)


def index_of(checkpoint: Path) -> Metadata:
    return pickle.loads((checkpoint / ".metadata").read_bytes())


def write_index(checkpoint: Path, index: object) -> None:
    (checkpoint / ".metadata").write_bytes(pickle.dumps(index))


@pytest.fixture
def model():
    return tiny("llama")


@pytest.fixture
def config(model, tmp_path) -> Path:
    return config_folder(model, tmp_path / "config")


@pytest.fixture
def checkpoint(model, tmp_path) -> Path:
    return writing.save(model.state_dict(), tmp_path / "step-1")


def refusal(checkpoint: Path, config: Path) -> str:
    """The sentence, when the checkpoint is looked at or when it is converted, without its beginning."""
    with pytest.raises(ModelError) as error:
        model_folder(resolve(str(checkpoint), model_config=str(config)))
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert text.startswith(f"Checkpoint {checkpoint} "), text
    return text.removeprefix(f"Checkpoint {checkpoint} ")


def data_file(checkpoint: Path) -> Path:
    [path] = checkpoint.glob("*.distcp")
    return path


def test_a_file_that_is_cut(checkpoint, config):
    path = data_file(checkpoint)
    size = path.stat().st_size
    os.truncate(path, size // 2)
    assert refusal(checkpoint, config) == (
        f"is not complete: __0_0.distcp has {size // 2} bytes of at least {size}; wait until it is written, "
        "or write it again."
    )


def test_a_file_that_is_missing(checkpoint, config):
    data_file(checkpoint).unlink()
    assert refusal(checkpoint, config).startswith("is not complete: __0_0.distcp is missing; wait until")


def test_a_checkpoint_that_is_half_written(checkpoint, config):
    (checkpoint / ".metadata").unlink()
    assert refusal(checkpoint, config).startswith(
        "is not complete: it has no .metadata, which is written last; wait until"
    )


def test_tensors_that_are_missing(model, config, tmp_path):
    state = {name: values for name, values in model.state_dict().items() if ".1." not in name}
    assert refusal(writing.save(state, tmp_path / "step-2"), config) == (
        f"is not of the model in {config}: it lacks 9 tensors: model.layers.1.self_attn.q_proj.weight, "
        "model.layers.1.self_attn.k_proj.weight, model.layers.1.self_attn.v_proj.weight and 6 more."
    )


def test_a_tensor_that_is_left_over_is_called_as_the_checkpoint_calls_it(model, config, tmp_path):
    state = {f"module.{name}": values for name, values in model.state_dict().items()}
    state["module.model.layers.3._orig_mod.self_attn.q_proj.weight"] = torch.ones(2)
    assert refusal(writing.save(state, tmp_path / "step-2"), config) == (
        f"is not of the model in {config}: it has, unlike the model, the tensor "
        "module.model.layers.3._orig_mod.self_attn.q_proj.weight."
    )


def test_a_tensor_of_another_shape_or_type(model, config, tmp_path):
    name = "model.layers.1.mlp.up_proj.weight"
    state = model.state_dict()
    longer = writing.save(state | {name: torch.ones(65, 48)}, tmp_path / "step-2")
    assert f"has {name} of shape 65 x 48 instead of 64 x 48" in refusal(longer, config)
    integers = writing.save(state | {name: torch.ones(64, 48, dtype=torch.int32)}, tmp_path / "step-3")
    assert f"has {name} as int32 instead of a floating-point type" in refusal(integers, config)


def test_the_configuration_of_another_model(checkpoint, tmp_path):
    longer = config_folder(tiny("llama", num_hidden_layers=4), tmp_path / "longer")
    assert "it lacks 9 tensors: model.layers.3." in refusal(checkpoint, longer)
    shorter = config_folder(tiny("llama", num_hidden_layers=2), tmp_path / "shorter")
    assert "it has, unlike the model, 9 tensors: model.layers.2." in refusal(checkpoint, shorter)
    wider = config_folder(tiny("llama", hidden_size=64), tmp_path / "wider")
    assert "of shape 260 x 48 instead of 260 x 64 (30 tensors differ)" in refusal(checkpoint, wider)
    qwen = config_folder(tiny("qwen3", head_dim=12), tmp_path / "qwen")
    assert "it lacks 6 tensors: model.layers.0.self_attn.q_norm.weight" in refusal(checkpoint, qwen)


def test_a_pickle_with_code(checkpoint, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    index = index_of(checkpoint)
    index.planner_data = Ran()
    write_index(checkpoint, index)
    assert refusal(checkpoint, config) == (
        "is refused: its .metadata is a pickle that names posix.system, which no checkpoint needs."
    )
    assert not (tmp_path / "ran-by-the-pickle").exists()


def test_a_tensor_with_code(checkpoint, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    index, path = index_of(checkpoint), data_file(checkpoint)
    found = next(found for key, found in index.storage_data.items() if key.fqn == "lm_head.weight")
    found.offset = path.stat().st_size
    with path.open("ab") as file:
        torch.save(Ran(), file)
    found.length = path.stat().st_size - found.offset
    write_index(checkpoint, index)
    assert refusal(checkpoint, config).startswith(
        "is damaged: tensor lm_head.weight in __0_0.distcp cannot be"
    )
    assert not (tmp_path / "ran-by-the-pickle").exists()


def test_bytes_that_are_not_a_tensor(checkpoint, config):
    path = data_file(checkpoint)
    path.write_bytes(bytes(path.stat().st_size))
    assert refusal(checkpoint, config).startswith(
        "is damaged: tensor model.embed_tokens.weight in __0_0.distcp"
    )


@pytest.mark.parametrize(
    "content", [b"", b"not a pickle", pickle.dumps({"a": 1}), pickle.dumps(Metadata({}))]
)
def test_an_index_that_is_not_one(checkpoint, config, content):
    (checkpoint / ".metadata").write_bytes(content)
    assert refusal(checkpoint, config).startswith("is damaged: its .metadata is not a readable index")


def test_names_of_an_unknown_trainer(model, config, tmp_path):
    state = {f"transformer.h.{number}.w": values for number, values in enumerate(model.state_dict().values())}
    assert refusal(writing.save(state, tmp_path / "step-2"), config) == (
        "names its tensors in no known way for the architecture llama (transformers', torchtitan's (0.3), "
        "torchtitan's (0.2), OLMo-core's): transformer.h.0.w, transformer.h.1.w, transformer.h.2.w."
    )


def test_names_of_a_framework_that_has_no_such_architecture(model, tmp_path):
    state = writing.torchtitan(model.state_dict(), family="llama", heads=4, groups=2)
    nemotron = config_folder(tiny("nemotron"), tmp_path / "nemotron")
    assert "in no known way for the architecture nemotron (transformers')" in refusal(
        writing.save(state, tmp_path / "step-2"), nemotron
    )


def test_names_that_fit_two_namings(model, config, tmp_path):
    state = writing.torchtitan(model.state_dict(), family="llama", heads=4, groups=2)
    shared = {name: values for name, values in state.items() if "feed_forward" in name}
    assert refusal(writing.save(shared, tmp_path / "step-2"), config) == (
        "does not tell its naming: its names may be torchtitan's (0.3) names or torchtitan's (0.2) names."
    )


def test_two_copies_of_a_weight(model, config, tmp_path):
    state = model.state_dict()
    twice = state | {"model._orig_mod.norm.weight": state["model.norm.weight"]}
    assert "has two tensors for one weight: model._orig_mod.norm.weight" in refusal(
        writing.save(twice, tmp_path / "step-2"), config
    )


def test_training_state_without_weights(model, config, tmp_path):
    state = {f"optim.state.{name}.exp_avg": values for name, values in model.state_dict().items()}
    assert refusal(writing.save(state, tmp_path / "step-2"), config) == (
        "holds no weights, only training state."
    )


def test_tied_embeddings_that_differ(model, tmp_path):
    tied = config_folder(tiny("llama", tie_word_embeddings=True), tmp_path / "tied")
    assert refusal(writing.save(model.state_dict(), tmp_path / "step-2"), tied) == (
        "holds other values in lm_head.weight than in model.embed_tokens.weight, but its configuration ties "
        "the two (tie_word_embeddings)."
    )


def test_an_index_that_names_files_elsewhere(checkpoint, config):
    index = index_of(checkpoint)
    for found in index.storage_data.values():
        found.relative_path = "../config/config.json"
    write_index(checkpoint, index)
    assert refusal(checkpoint, config).startswith(
        "is refused: its index names a file outside of it, ../config"
    )


def test_a_tensor_of_which_a_block_is_missing(checkpoint, config):
    index = index_of(checkpoint)
    chunk = index.state_dict_metadata["model.norm.weight"].chunks[0]
    chunk.sizes = torch.Size([40])
    write_index(checkpoint, index)
    assert "it holds 40 of 48 values of tensor model.norm.weight" in refusal(checkpoint, config)


def test_compressed_tensors_are_not_read_as_numbers(checkpoint, config):
    index = index_of(checkpoint)
    for found in index.storage_data.values():
        found.transform_descriptors = ["zstd"]
    write_index(checkpoint, index)
    assert "not a readable index of torch.distributed.checkpoint without compression" in refusal(
        checkpoint, config
    )


def test_tokens_are_shown_with_a_tokenizer_and_not_with_a_raw_checkpoint(checkpoint, config, tmp_path):
    from typer.testing import CliRunner

    from evalsuite.cli import app
    from tests.runs.bench import ADDRESSES, Bench

    bench = Bench.make(tmp_path / "bench")
    shared = ["--tasks", ADDRESSES[0], "--data", str(bench.data), "--include", str(bench.plugin)]
    arguments = ["requests", *shared, "--out", str(tmp_path / "requests")]
    done = CliRunner().invoke(app, [*arguments, "--model", str(checkpoint)])
    assert str(done.exception) == (
        f"Model '{checkpoint}' is a raw checkpoint, which has no tokenizer: give --tokenizer FOLDER in place "
        "of --model."
    )
    assert CliRunner().invoke(app, [*arguments, "--tokenizer", str(config)]).exit_code == 0


def test_an_empty_folder_is_no_checkpoint(config, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError) as error:
        resolve(str(tmp_path / "empty"), model_config=str(config))
    empty = tmp_path / "empty"
    raw = sorted(each.name for each in CHECKPOINT_FORMATS.load_all() if each.takes_model_config)
    assert "dcp" in raw
    assert str(error.value) == (
        f"Model '{empty}' is neither a raw checkpoint of a known format ({', '.join(raw)}) nor a folder with "
        "config.json and weights."
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="the machine's owner may read everything")
def test_a_checkpoint_that_may_not_be_read(checkpoint, config):
    (checkpoint / ".metadata").chmod(0)
    assert refusal(checkpoint, config).startswith("cannot be read: Permission denied")
