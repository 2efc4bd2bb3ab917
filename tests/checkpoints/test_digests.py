import shutil

import pytest

from evalsuite.checkpoints import ModelFiles, tokenizer_digest, weights_digest
from evalsuite.errors import ModelError
from tests.checkpoints.conftest import gguf, safetensors


def of(folder):
    files = ModelFiles("mine", folder)
    return weights_digest(files), tokenizer_digest(files)


def test_a_digest_is_of_the_content_wherever_it_lies(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    assert of(folder) == of(tmp_path / "copy")


def test_weights_configuration_and_tokenizer_each_count_where_they_belong(folder):
    weights, tokenizer = of(folder)
    (folder / "tokenizer.json").write_text('{"a": 1}')
    assert of(folder)[0] == weights
    assert of(folder)[1] != tokenizer
    (folder / "config.json").write_text("{}")
    configured = of(folder)[0]
    assert configured != weights
    safetensors(folder / "model.safetensors", b"\1" * 8)
    assert of(folder)[0] not in (weights, configured)


def test_code_of_the_model_counts_only_where_the_model_uses_it(folder):
    plain = of(folder)[0]
    (folder / "modeling.py").write_text("")
    assert of(folder)[0] == plain
    (folder / "config.json").write_text('{"auto_map": {}}')
    with_code = of(folder)[0]
    (folder / "modeling.py").write_text("changed = True")
    assert of(folder)[0] != with_code


def test_a_gguf_model_is_its_one_file_whatever_its_name(tmp_path):
    gguf(tmp_path / "a.gguf")
    gguf(tmp_path / "b.gguf")
    first, second = (ModelFiles("mine", tmp_path, gguf_file=name) for name in ("a.gguf", "b.gguf"))
    assert weights_digest(first) == weights_digest(second)
    assert tokenizer_digest(first) == tokenizer_digest(second) != weights_digest(first)


def test_a_model_without_tokenizer_files_is_refused(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="no tokenizer files"):
        tokenizer_digest(ModelFiles("mine", folder))


def test_of_a_tokenizer_with_code_of_its_own_every_file_counts_but_the_weights(folder):
    (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["mine.Mine", null]}}')
    seen = {of(folder)[1]}
    for name in ("mine.py", "letters_v1.txt", "rwkv_vocab", "deep/helper.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("1")
        seen.add(of(folder)[1])
    assert len(seen) == 5
    safetensors(folder / "model.safetensors", b"\1" * 8)
    (folder / ".git").mkdir()
    (folder / ".git" / "hook.py").write_text("")
    assert of(folder)[1] in seen


def test_mistral_s_own_vocabulary_counts(folder):
    before = of(folder)[1]
    (folder / "tekken.json").write_text("{}")
    assert of(folder)[1] != before


def test_a_tokenizer_that_is_made_by_the_model_s_type_counts_that_type(folder):
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    digests = set()
    for kind in ("llama", "mistral"):
        (folder / "config.json").write_text(f'{{"model_type": "{kind}"}}')
        digests.add(of(folder)[1])
    assert len(digests) == 2
