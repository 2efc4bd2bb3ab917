import hashlib
import json
import os
import shutil

import pytest

from evalsuite.checkpoints import ModelFiles, digests, tokenizer_digest, weights_digest
from evalsuite.errors import ModelError

from .conftest import gguf, safetensors


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


def test_an_unchanged_file_is_hashed_once(folder, monkeypatch):
    expected = of(folder)
    monkeypatch.setattr(digests, "_hash_file", None)
    assert of(folder) == expected


def test_a_file_that_changed_in_size_or_time_is_hashed_again(folder):
    path = folder / "tokenizer.json"
    path.write_text("one")
    assert digests.file_digest(path) == hashlib.sha256(b"one").hexdigest()
    path.write_text("three")
    assert digests.file_digest(path) == hashlib.sha256(b"three").hexdigest()
    path.write_text("seven")
    os.utime(path, ns=(1, 1))
    assert digests.file_digest(path) == hashlib.sha256(b"seven").hexdigest()


def test_verifying_reads_the_file_whatever_the_hint_says(folder, own_cache):
    path = folder / "tokenizer.json"
    right = digests.file_digest(path)
    hints = own_cache / "file_digests.json"
    hints.write_text(json.dumps(dict.fromkeys(json.loads(hints.read_text()), "0" * 64)))
    assert digests.file_digest(path) == "0" * 64
    assert digests.file_digest(path, verify=True) == right
    assert digests.file_digest(path) == right


@pytest.mark.parametrize("content", ["{", "[]", '{"x": 3}', ""])
def test_a_corrupt_hint_file_is_ignored_and_replaced(folder, own_cache, content):
    own_cache.mkdir(parents=True)
    (own_cache / "file_digests.json").write_text(content)
    of(folder)
    assert len(json.loads((own_cache / "file_digests.json").read_text())) >= 3


def test_a_cache_that_cannot_be_written_is_let_be(folder, tmp_path, monkeypatch):
    blocked = tmp_path / "a_file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert of(folder)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"gone\.json cannot be read: No such file"):
        digests.file_digest(tmp_path / "gone.json")
