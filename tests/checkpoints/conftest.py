"""Model folders with real headers and no real weights, and a hub that is never asked."""

import json
import struct
from pathlib import Path

import pytest

from evalsuite import offline as hub


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> Path:
    """The user's cache folder, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "evalsuite"


@pytest.fixture(autouse=True)
def fresh_probe(monkeypatch):
    """The probe's answer is remembered for a process; every test asks anew, and nobody for real."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://localhost:9")
    hub._why_silent.cache_clear()
    yield
    hub._why_silent.cache_clear()


def safetensors(path: Path, values: bytes = b"\0" * 8) -> Path:
    """A safetensors file of one float32 tensor."""
    entry = {"dtype": "F32", "shape": [len(values) // 4], "data_offsets": [0, len(values)]}
    header = json.dumps({"weight": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + values)
    return path


def gguf(path: Path, values: bytes = b"\0" * 64) -> Path:
    """A GGUF file of one tensor, with a context length, two tokens and three scores."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    pairs = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bc"),
        text("tokenizer.ggml.scores") + struct.pack("<IIQfff", 9, 6, 3, 1, 2, 3),
        text("llama.context_length") + struct.pack("<II", 4, 512),
    ]
    tensor = text("token_embd.weight") + struct.pack("<IQIQ", 1, 16, 0, 0)
    header = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor
    path.write_bytes(header + values)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """A model folder in the Hugging Face layout."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text(
        '{"model_type": "llama", "max_position_embeddings": 4096, "vocab_size": 9}'
    )
    (path / "tokenizer.json").write_text("{}")
    safetensors(path / "model.safetensors")
    return path
