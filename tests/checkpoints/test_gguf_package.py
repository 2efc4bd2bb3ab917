"""GGUF files are read faster, and just as the package itself reads them."""

import importlib.util

import numpy as np
import pytest

from evalsuite.checkpoints.gguf_package import speed_up_gguf

gguf = pytest.importorskip("gguf")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_token_list(["a", "Ġb", "", "日本"])
    writer.add_token_scores([0.5, -1.0, 0.0, 2.0])
    writer.add_tensor("token_embd.weight", np.arange(12, dtype=np.float32).reshape(4, 3))
    writer.add_tensor("output_norm.weight", np.arange(3, dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def reader_as_published():
    """The package's class from its source, which nothing has changed."""
    spec = importlib.util.find_spec("gguf.gguf_reader")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.GGUFReader


def read(reader) -> tuple[list, list]:
    fields = [
        (name, field.offset, field.data, field.types, [(part.dtype, part.tolist()) for part in field.parts])
        for name, field in reader.fields.items()
    ]
    tensors = [
        (tensor.name, tensor.tensor_type, tensor.data.dtype, tensor.data.tolist())
        for tensor in reader.tensors
    ]
    return fields, tensors


def test_fields_and_tensors_are_those_that_the_package_reads(file):
    speed_up_gguf()
    assert gguf.GGUFReader is not reader_as_published()
    assert read(gguf.GGUFReader(file)) == read(reader_as_published()(file))


def test_header_parts_are_no_memory_maps_whose_slices_are_slow(file):
    speed_up_gguf()
    fields = gguf.GGUFReader(file).fields.values()
    assert {type(part) for field in fields for part in field.parts} == {np.ndarray}


@pytest.mark.parametrize("kept", [2, 30, 100])
def test_a_file_that_is_cut_off_fails_as_in_the_package(file, kept):
    speed_up_gguf()
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises((ValueError, IndexError)) as published:
        reader_as_published()(file)
    with pytest.raises(published.type):
        gguf.GGUFReader(file)


def test_the_table_of_tensor_names_is_built_once():
    speed_up_gguf()
    speed_up_gguf()
    arch = gguf.MODEL_ARCH.LLAMA
    assert gguf.get_tensor_name_map(arch, 2) is gguf.get_tensor_name_map(arch, 2)
    assert gguf.get_tensor_name_map(arch, 2).get_name("model.layers.1.self_attn.q_proj") == "blk.1.attn_q"
