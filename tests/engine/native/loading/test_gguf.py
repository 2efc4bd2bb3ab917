"""A GGUF file is dequantised once; its kept copy loads as the same model."""

import numpy as np
import pytest
import torch

from evalsuite.checkpoints import ModelFiles, resolve, weights_digest
from evalsuite.checkpoints.gguf_copies import DIGESTS
from evalsuite.engine.native.loading import gguf as loading
from evalsuite.engine.native.loading.load import load_model

gguf = pytest.importorskip("gguf")

WIDTH, INNER, HEADS, VOCABULARY, LAYERS = 32, 64, 2, 96, 2


def write_llama(path, seed: int = 0) -> None:
    """A tiny Llama in blocks of eight bits, as llama.cpp names it."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token{index}" for index in range(VOCABULARY)])
    writer.add_token_merges(["t o"])
    writer.add_eos_token_id(2)

    def add(name: str, *shape: int) -> None:
        values = random.standard_normal(shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, values)
            return
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    add("token_embd.weight", VOCABULARY, WIDTH)
    add("output_norm.weight", WIDTH)
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{name}.weight", WIDTH, WIDTH)
        add(f"blk.{layer}.ffn_gate.weight", INNER, WIDTH)
        add(f"blk.{layer}.ffn_up.weight", INNER, WIDTH)
        add(f"blk.{layer}.ffn_down.weight", WIDTH, INNER)
        add(f"blk.{layer}.attn_norm.weight", WIDTH)
        add(f"blk.{layer}.ffn_norm.weight", WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "evalsuite" / "gguf"


@pytest.fixture
def files(tmp_path, cache) -> ModelFiles:
    (tmp_path / "model").mkdir()
    write_llama(tmp_path / "model" / "tiny.gguf")
    return resolve(str(tmp_path / "model" / "tiny.gguf"))


def load(files, dtype="float32"):
    return load_model(files, device="cpu", dtype=dtype, trust_remote_code=False)


@pytest.fixture
def read_from(monkeypatch) -> list[str]:
    """What each load reads: "file" or "copy"."""
    read = []
    original = loading.load_gguf

    def counting(files, dtype, loader):
        def noting(folder, gguf_file):
            read.append("file" if gguf_file else "copy")
            return loader(folder, gguf_file)

        return original(files, dtype, noting)

    monkeypatch.setattr("evalsuite.engine.native.loading.load.load_gguf", counting)
    return read


def same_model(one, other) -> bool:
    ids = torch.arange(2, 40)[None]
    states, others = one.model.state_dict(), other.model.state_dict()
    ours, theirs = one.model.config.to_dict(), other.model.config.to_dict()
    settings = (ours.keys() | theirs.keys()) - {"quantization_config", "_name_or_path"}
    return (
        type(one.model) is type(other.model)
        and states.keys() == others.keys()
        and all(torch.equal(states[name], others[name]) for name in states)
        and all(states[name].dtype == others[name].dtype for name in states)
        and all(ours.get(name) == theirs.get(name) for name in settings)
        and one.model.generation_config.to_dict() == other.model.generation_config.to_dict()
        and one.eos_ids == other.eos_ids
        and torch.equal(one.model(input_ids=ids).logits, other.model(input_ids=ids).logits)
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_second_load_reads_the_copy_and_gives_the_same_model(files, read_from, dtype):
    digest = weights_digest(files)
    first, second = load(files, dtype), load(files, dtype)
    assert read_from == ["file", "copy"]
    assert same_model(first, second)
    assert first.notes == second.notes == ()
    assert weights_digest(files) == digest


def test_weights_of_a_copy_are_aligned_as_those_of_the_file_are(files, read_from):
    """Mapped weights begin anywhere, and products with them are slower."""
    load(files)
    again = load(files)
    assert read_from == ["file", "copy"]
    assert all(weight.data_ptr() % 64 == 0 for weight in again.model.parameters())


def test_each_data_type_has_its_own_copy(files, read_from):
    load(files, "float32")
    assert load(files, "bfloat16").model.dtype == torch.bfloat16
    assert read_from == ["file", "file"]


def test_another_file_of_the_same_name_is_not_taken_for_the_first_one(files, read_from):
    first = load(files)
    write_llama(files.gguf_path, seed=1)
    assert not same_model(first, load(files))
    assert read_from == ["file", "file"]


@pytest.mark.parametrize("damage", ["a byte", "cut", "gone", "digests gone", "no weights"])
def test_a_damaged_copy_is_made_again(files, cache, read_from, damage):
    first = load(files)
    [weights] = cache.glob("*/model-float32/model.safetensors")
    content = bytearray(weights.read_bytes())
    if damage == "a byte":
        content[-9] ^= 1
        weights.write_bytes(content)
    elif damage == "cut":
        weights.write_bytes(content[:-400])
    elif damage == "digests gone":
        (weights.parent / DIGESTS).unlink()
    elif damage == "no weights":
        weights.unlink()
    else:
        for path in sorted(cache.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    assert same_model(first, load(files))
    assert same_model(first, load(files))
    assert read_from == ["file", "file", "copy"]


def test_a_copy_that_transformers_cannot_load_is_made_again(files, cache, read_from, monkeypatch):
    load(files)
    monkeypatch.setattr(loading, "whole_copy", lambda *_: files.folder)  # a folder without a configuration
    load(files)
    monkeypatch.undo()
    assert read_from == ["file", "copy", "file"]


def test_a_cache_that_cannot_be_written_costs_time_only(files, cache, read_from):
    cache.parent.mkdir(parents=True)
    cache.write_text("not a folder")
    first, second = load(files), load(files)
    assert read_from == ["file", "file"]
    assert same_model(first, second)
    [note] = second.notes
    assert note.startswith("no copy of the dequantised weights is kept: ")


def test_a_copy_that_would_fill_the_disk_is_not_written(files, cache, read_from, monkeypatch):
    monkeypatch.setattr("evalsuite.checkpoints.gguf_copies.MOST_OF_DISK", 1e-12)
    [note] = load(files).notes
    assert "more than a quarter of the free disk" in note
    assert not [*cache.glob("*/model*")]
