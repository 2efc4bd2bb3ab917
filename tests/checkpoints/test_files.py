import json

import pytest

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.files import context_window, read_config, tokenizer_files
from evalsuite.checkpoints.weights import weight_files
from tests.checkpoints.conftest import gguf


def names(paths):
    return [path.name for path in paths]


@pytest.mark.parametrize(
    ("config", "window"),
    [
        ({"max_position_embeddings": 8192}, 8192),
        ({"n_positions": 1024, "n_ctx": 512}, 1024),
        ({"max_seq_len": 2048}, 2048),
        ({"text_config": {"max_position_embeddings": 32768}}, 32768),
        ({"model_type": "mamba2"}, None),
    ],
)
def test_the_context_window_is_what_the_configuration_states(folder, config, window):
    (folder / "config.json").write_text(json.dumps(config))
    assert context_window(ModelFiles("mine", folder)) == window


def test_a_gguf_file_states_its_window_and_vocabulary_in_its_header(tmp_path):
    gguf(tmp_path / "small.gguf")
    files = ModelFiles("mine", tmp_path, gguf_file="small.gguf")
    assert read_config(files) == {"model_type": "llama", "max_position_embeddings": 512, "vocab_size": 2}
    assert context_window(files) == 512
    assert names(weight_files(files)) == names(tokenizer_files(files)) == ["small.gguf"]


def test_tokenizer_files_leave_out_weights_and_configuration(folder):
    (folder / "tokenizer.model").write_bytes(b"")
    assert names(tokenizer_files(ModelFiles("mine", folder))) == ["tokenizer.json", "tokenizer.model"]
